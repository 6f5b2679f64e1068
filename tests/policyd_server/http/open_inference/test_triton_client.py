"""Triton's own HTTP client against this server: every call that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.policyd_server.http.conftest import Client
from tests.policyd_server.process import ServerProcess

OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)  # [5, 4]


@pytest.fixture(scope="module")
def http(client: Client) -> Iterator[Any]:
    with triton.InferenceServerClient(client.host, network_timeout=60) as http:
        yield http


def _inputs(*, binary: bool, mask: NDArray[np.bool_] | None = None) -> list[Any]:
    tensors = [triton.InferInput("observations", [5, 4], "FP32")]
    tensors[0].set_data_from_numpy(OBSERVATIONS, binary_data=binary)
    if mask is not None:
        tensors.append(triton.InferInput("action_mask", list(mask.shape), "BOOL"))
        tensors[1].set_data_from_numpy(mask, binary_data=binary)
    return tensors


def test_health_and_metadata(http: Any) -> None:
    """The client can read health and metadata before it sends anything."""
    assert http.is_server_live()
    assert http.is_server_ready()
    assert http.is_model_ready("cartpole")
    assert http.is_model_ready("cartpole", "1")
    assert not http.is_model_ready("moving", "3")  # which no test asks for
    server = http.get_server_metadata()
    assert server["name"] == "policyd"
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(server["extensions"])
    model = http.get_model_metadata("cartpole")
    assert model["versions"] == ["1", "2"]
    assert model["inputs"] == [{"name": "observations", "datatype": "FP32", "shape": [-1, 4]}]
    config = http.get_model_config("cartpole", "1")
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert config["input"][0]["dims"] == [4]
    assert config["max_batch_size"] == 16384


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_infer(
    http: Any, server: ServerProcess, binary_in: bool, binary_out: bool, coding: str | None
) -> None:
    """Tensors as JSON or binary, compressed or not, give the same as by gRPC."""
    wanted = [triton.InferRequestedOutput(name, binary_out) for name in ("actions", "action_probs")]
    answer = http.infer(
        "cartpole",
        _inputs(binary=binary_in),
        outputs=wanted,
        request_id="one",
        parameters={"seed": 7},
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    with triton_grpc.InferenceServerClient(server.address) as grpc:
        same = [triton_grpc.InferInput("observations", [5, 4], "FP32")]
        same[0].set_data_from_numpy(OBSERVATIONS)
        expected = grpc.infer("cartpole", same, parameters={"seed": 7})
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("one", "cartpole", "1")
    assert [output["name"] for output in told["outputs"]] == ["actions", "action_probs"]
    for name in ("actions", "action_probs"):
        np.testing.assert_array_equal(answer.as_numpy(name), expected.as_numpy(name))


def test_infer_without_named_outputs_and_with_a_version(http: Any) -> None:
    """All outputs come in binary. A version may be named and is then loaded."""
    answer = http.infer("cartpole", _inputs(binary=True), model_version="2")
    assert answer.get_response()["model_version"] == "2"
    assert answer.as_numpy("action_probs").shape == (5, 2)
    assert http.is_model_ready("cartpole", "2")


def test_a_mask_and_asynchronous_calls(http: Any) -> None:
    """BOOL tensors work in both forms, and async_infer gives the same as infer."""
    mask = np.array([[True, False]] * 5)
    for binary in (True, False):
        answer = http.infer("masked", _inputs(binary=binary, mask=mask))
        assert answer.as_numpy("actions").tolist() == [0] * 5
    pending = [http.async_infer("cartpole", _inputs(binary=True), parameters={"seed": 3}) for _ in range(4)]
    actions = [each.get_result().as_numpy("actions").tolist() for each in pending]
    assert all(each == actions[0] for each in actions)


def test_repository_and_statistics(http: Any) -> None:
    """Index, load and unload work, and the counts rise with each request."""
    index = http.get_model_repository_index()
    assert {("masked", "1", "READY")} <= {(m["name"], m["version"], m["state"]) for m in index}
    http.load_model("cartpole")
    with pytest.raises(InferenceServerException, match="served under champion"):
        http.unload_model("cartpole")
    [before] = http.get_inference_statistics("masked", "1")["model_stats"]
    http.infer("masked", _inputs(binary=True))
    [after] = http.get_inference_statistics("masked", "1")["model_stats"]
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["inference_stats"]["success"]["count"] == before["inference_stats"]["success"]["count"] + 1
    assert len(http.get_inference_statistics()["model_stats"]) >= 2


def test_errors_reach_the_client(http: Any) -> None:
    """The message is this server's, with the field. The status is HTTP's."""
    with pytest.raises(InferenceServerException, match="no policy 'nope'") as caught:
        http.get_model_metadata("nope")
    assert caught.value.status() == "404"
    tensors = [triton.InferInput("observations", [5, 3], "FP32")]
    tensors[0].set_data_from_numpy(OBSERVATIONS[:, :3].copy())
    with pytest.raises(InferenceServerException, match=r"inputs\[0\].shape") as caught:
        http.infer("cartpole", tensors)
    assert caught.value.status() == "400"
    for call in (http.get_trace_settings, http.get_log_settings, http.get_system_shared_memory_status):
        with pytest.raises(InferenceServerException, match="no such extension"):
            call()
