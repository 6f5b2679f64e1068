"""What the protocol tells Triton's own client about server, models and figures.

On both transports.
"""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.policyd_server.oip.conftest import MASKED, PLAIN


def test_the_client_finds_a_living_server(client: triton.InferenceServerClient) -> None:
    """The server is live and ready, and the models in memory are ready."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(PLAIN)
    assert not client.is_model_ready("nobody")
    metadata = client.get_server_metadata()
    assert metadata.name == "policyd"
    assert "statistics" in metadata.extensions


def test_metadata_and_configuration_name_the_same_tensors(client: triton.InferenceServerClient) -> None:
    """Inputs and outputs agree. The batch is -1 in one and left out in the other."""
    metadata = client.get_model_metadata(MASKED)
    config = client.get_model_config(MASKED).config
    assert metadata.versions == ["1"]
    inputs = {i.name: list(i.shape) for i in metadata.inputs}
    outputs = {o.name: list(o.shape) for o in metadata.outputs}
    assert inputs == {"observations": [-1, 4], "action_mask": [-1, 3]}
    assert outputs == {"actions": [-1], "action_probs": [-1, 3], "log_probs": [-1], "value": [-1]}
    assert {i.name: [-1, *i.dims] for i in config.input} == inputs
    assert [o.name for o in config.output] == list(outputs)
    assert config.max_batch_size > 1024
    assert config.HasField("dynamic_batching")
    assert not config.HasField("sequence_batching")


def test_only_policies_trained_with_masks_show_one(client: triton.InferenceServerClient) -> None:
    """Load generators send every input that is shown, also a mask.

    So it is shown only for policies with masks.
    """
    assert [i.name for i in client.get_model_metadata(PLAIN).inputs] == ["observations"]


def test_statistics_count_what_was_answered(client: triton.InferenceServerClient) -> None:
    """Rows, calls and durations rise with every request, queued or not.

    Failures are counted separately.
    """
    observations = triton.InferInput("observations", [5, 4], "FP32")
    before = client.get_inference_statistics(MASKED).model_stats[0]
    observations.set_data_from_numpy(np.zeros((5, 4), np.float32))
    for _ in range(4):
        client.infer(MASKED, [observations])
    observations.set_data_from_numpy(np.full((5, 4), np.nan, np.float32))
    with pytest.raises(InferenceServerException):
        client.infer(MASKED, [observations])
    after = client.get_inference_statistics(MASKED, "1").model_stats[0]
    assert after.version == "1"
    assert after.inference_count - before.inference_count == 20
    assert after.execution_count - before.execution_count == 4
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        now, then = getattr(after.inference_stats, part), getattr(before.inference_stats, part)
        assert now.count - then.count == 4
        assert now.ns >= then.ns
    assert after.inference_stats.fail.count - before.inference_stats.fail.count == 1
    assert {stats.name for stats in client.get_inference_statistics().model_stats} >= {MASKED, PLAIN}


def test_what_this_server_does_not_do_is_unimplemented(client: triton.InferenceServerClient) -> None:
    """Trace, log and shared-memory calls return UNIMPLEMENTED."""
    for call in (client.get_trace_settings, client.get_log_settings, client.get_system_shared_memory_status):
        with pytest.raises(InferenceServerException) as raised:
            call()
        assert raised.value.status() == "StatusCode.UNIMPLEMENTED"
