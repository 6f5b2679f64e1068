"""ModelInfer and ModelStreamInfer, asked by Triton's own clients, on both transports."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from policy_api.v1.policy_pb2 import ActRequest, BoolArray, FloatArray
from policyd import sampling
from tests.policyd_server.oip.conftest import GAUSSIAN, MASKED, OBSERVATIONS, PLAIN, inputs
from tests.policyd_server.process import ServerProcess


def test_an_answer_is_the_one_that_act_gives(
    client: triton.InferenceServerClient, server: ServerProcess
) -> None:
    """The same seed gives the same response over both protocols, bit for bit.

    Actions, probabilities and values are compared.
    """
    result = client.infer(PLAIN, inputs(), request_id="7", parameters={"seed": 11})
    act = server.policy.Act(
        ActRequest(policy=PLAIN, seed=11, observations=FloatArray(raw=OBSERVATIONS.tobytes()))
    )
    assert result.get_response().id == "7"
    assert result.get_response().model_version == "1"
    assert result.as_numpy("actions").tobytes() == act.actions.raw
    assert result.as_numpy("action_probs").tobytes() == act.action_probs.raw
    assert result.as_numpy("log_probs").tobytes() == act.log_probs.raw
    assert result.as_numpy("value").tobytes() == act.values.raw


def test_an_answer_can_be_verified_from_its_own_parameters(client: triton.InferenceServerClient) -> None:
    """Without a seed in the request, the response has the one that the server drew."""
    result = client.infer(PLAIN, inputs())
    seed = result.get_response().parameters["seed"].uint64_param
    drawn = [sampling.sample(p.tolist(), seed, row) for row, p in enumerate(result.as_numpy("action_probs"))]
    assert result.as_numpy("actions").tolist() == drawn


def test_a_seed_above_the_clients_integers_comes_as_text(client: triton.InferenceServerClient) -> None:
    """Tritonclient's integers end at 2^63, while seeds go up to 2^64."""
    result = client.infer(PLAIN, inputs(), parameters={"seed": str(2**64 - 1), "first_row": 3})
    assert result.get_response().parameters["seed"].uint64_param == 2**64 - 1


def test_deterministic_answers_are_the_modes(client: triton.InferenceServerClient) -> None:
    """`deterministic` chooses the most probable action of each row."""
    result = client.infer(PLAIN, inputs(), parameters={"deterministic": True})
    assert result.as_numpy("actions").tolist() == result.as_numpy("action_probs").argmax(axis=1).tolist()


@pytest.mark.parametrize("policy", [PLAIN, MASKED])
def test_masks_are_obeyed(client: triton.InferenceServerClient, server: ServerProcess, policy: str) -> None:
    """A mask works for every policy with discrete actions, as in Act."""
    mask = np.array([[True, False, False], [False, True, True]] * 2 + [[True, True, True]])
    result = client.infer(policy, inputs(mask=mask), parameters={"seed": 3, "temperature": 2.0})
    act = server.policy.Act(
        ActRequest(
            policy=policy,
            seed=3,
            temperature=2.0,
            observations=FloatArray(raw=OBSERVATIONS.tobytes()),
            action_mask=BoolArray(raw=mask.tobytes()),
        )
    )
    assert (result.as_numpy("action_probs")[~mask] == 0).all()
    assert result.as_numpy("action_probs").tobytes() == act.action_probs.raw
    assert result.as_numpy("actions").tobytes() == act.actions.raw


def test_only_the_outputs_that_are_named_come_in_their_order(client: triton.InferenceServerClient) -> None:
    """The requested outputs come in their order, each with its raw contents."""
    names = ["value", "actions"]
    result = client.infer(PLAIN, inputs(), outputs=[triton.InferRequestedOutput(n) for n in names])
    assert [output.name for output in result.get_response().outputs] == names
    assert result.as_numpy("action_probs") is None
    assert result.as_numpy("value").shape == (5,)


def test_a_version_can_be_named(client: triton.InferenceServerClient) -> None:
    """A number names a version, which is loaded for the request. An empty name is the champion."""
    assert client.infer(PLAIN, inputs(), model_version="2").get_response().model_version == "2"
    assert client.infer(PLAIN, inputs()).get_response().model_version == "1"
    assert client.is_model_ready(PLAIN, "2")


def test_continuous_actions_have_tensors_of_their_own(client: triton.InferenceServerClient) -> None:
    """For Box actions there are vectors and what they were drawn from. A mask is refused."""
    result = client.infer(GAUSSIAN, inputs(), parameters={"seed": 5})
    outputs = {output.name for output in client.get_model_metadata(GAUSSIAN).outputs}
    assert outputs == {"vectors", "log_probs", "action_mean", "action_std", "gaussian_samples", "value"}
    assert result.as_numpy("vectors").shape == (5, 2)
    with pytest.raises(InferenceServerException, match="action_mask"):
        client.infer(GAUSSIAN, inputs(mask=np.ones((5, 2), np.bool_)))


def test_the_aio_client_is_answered(client: triton.InferenceServerClient, server: ServerProcess) -> None:
    """Many concurrent requests with tritonclient.grpc.aio each get their own rows."""
    questions = [(inputs(OBSERVATIONS[: 1 + i % 5]), {"seed": i}) for i in range(40)]

    async def ask() -> list[Any]:
        async with triton_aio.InferenceServerClient(server.address) as aio:
            calls = [aio.infer(PLAIN, inputs, parameters=seed) for inputs, seed in questions]
            return await asyncio.gather(*calls)

    together = [result.as_numpy("actions").tolist() for result in asyncio.run(ask())]
    alone = [client.infer(PLAIN, inputs, parameters=seed) for inputs, seed in questions]
    assert together == [result.as_numpy("actions").tolist() for result in alone]


def test_a_stream_answers_in_order_and_survives_an_error(client: triton.InferenceServerClient) -> None:
    """ModelStreamInfer gives one response per request.

    A wrong request gets its error, and the next one works as usual.
    """
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(10):
        name = "nobody" if i == 4 else PLAIN
        client.async_stream_infer(name, inputs(), request_id=str(i), enable_empty_final_response=True)
    got = [answers.get(timeout=60) for _ in range(10)]
    client.stop_stream()
    assert "nobody" in str(got.pop(4)[1])
    responses = [result.get_response() for result, _ in got]
    assert [response.id for response in responses] == [str(i) for i in range(10) if i != 4]
    assert all(response.parameters["triton_final_response"].bool_param for response in responses)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"seed": "many"}}, r"parameters\[seed\]"),
        ({"parameters": {"seed": -1}}, r"parameters\[seed\]"),
        ({"parameters": {"deterministic": 1}}, r"parameters\[deterministic\]"),
        ({"parameters": {"temperature": "hot"}}, r"parameters\[temperature\]"),
        ({"model_version": "champion"}, "model_version"),
        ({"outputs": [triton.InferRequestedOutput("reward")]}, r"outputs\[0\].name"),
        ({"inputs": inputs(np.zeros((1, 5), np.float32))}, r"inputs\[0\].shape"),
        ({"inputs": inputs(mask=np.ones((4, 3), np.bool_))}, "inputs"),
        ({"inputs": inputs(mask=np.zeros((5, 3), np.bool_))}, "action_mask"),
        ({"inputs": inputs(np.full((1, 4), np.inf, np.float32))}, "observations"),
        ({"inputs": inputs() * 2}, "twice"),
        ({"inputs": []}, "inputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_requests_are_told_what_is_wrong(
    client: triton.InferenceServerClient, change: dict[str, Any], message: str
) -> None:
    """Each wrong field gives INVALID_ARGUMENT with its name."""
    with pytest.raises(InferenceServerException, match=message) as raised:
        client.infer(PLAIN, **{"inputs": inputs(), **change})
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize(("name", "version"), [("nobody", ""), (PLAIN, "9")])
def test_what_does_not_exist_is_not_found(
    client: triton.InferenceServerClient, name: str, version: str
) -> None:
    """An unknown model or version gives NOT_FOUND."""
    with pytest.raises(InferenceServerException) as raised:
        client.infer(name, inputs(), model_version=version)
    assert raised.value.status() == "StatusCode.NOT_FOUND"


def test_typed_contents_are_accepted(server: ServerProcess) -> None:
    """Typed fields, as people send them with grpcurl, are accepted.

    fp32_contents and bool_contents may replace raw bytes, but not be mixed with them.
    """
    observations: dict[str, Any] = {"name": "observations", "datatype": "FP32", "shape": [1, 4]}
    mask: dict[str, Any] = {"name": "action_mask", "datatype": "BOOL", "shape": [1, 3]}
    observations["contents"] = {"fp32_contents": OBSERVATIONS[0].tolist()}
    mask["contents"] = {"bool_contents": [False, True, False]}
    request = service_pb2.ModelInferRequest(model_name=PLAIN, inputs=[observations, mask])
    with grpc.insecure_channel(server.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        response = stub.ModelInfer(request)
        names = [output.name for output in response.outputs]
        assert np.frombuffer(response.raw_output_contents[names.index("actions")], "<i8").tolist() == [1]
        request.raw_input_contents.extend([OBSERVATIONS[0].tobytes(), b"\1\1\1"])
        with pytest.raises(grpc.RpcError) as raised:
            stub.ModelInfer(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_any_nonzero_byte_of_a_mask_is_true(server: ServerProcess) -> None:
    """Load generators send random bytes as BOOL, and these are accepted."""
    request = service_pb2.ModelInferRequest(
        model_name=MASKED,
        inputs=[
            {"name": "action_mask", "datatype": "BOOL", "shape": [1, 3]},
            {"name": "observations", "datatype": "FP32", "shape": [1, 4]},
        ],
        outputs=[{"name": "action_probs"}],
        raw_input_contents=[b"\0\x7f\xff", OBSERVATIONS[0].tobytes()],
    )
    with grpc.insecure_channel(server.address) as channel:
        response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    probs = np.frombuffer(response.raw_output_contents[0], "<f4")
    assert (probs > 0).tolist() == [False, True, True]
