"""Every kind of action and observation, asked by Triton's own client.

Tensors match, answers are Act's.
"""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from policy_api.v1.policy_pb2 import ActRequest, BoolArray, FloatArray
from policyd import spaces
from tests.policyd_server import kinds
from tests.policyd_server.oip.conftest import KINDS, inputs
from tests.policyd_server.process import ServerProcess

ROWS = 6
#: Width of a row's mask; its first choice is masked.
MASKS = {"branches": 9, "bits": 4}
INDICES = {"actions": "INT64", "action_probs": "FP32", "log_probs": "FP32", "value": "FP32"}
VECTORS = dict.fromkeys(
    ("vectors", "action_mean", "action_std", "gaussian_samples", "log_probs", "value"), "FP32"
)


def _rows(policy: str) -> np.ndarray:
    """Observations [ROWS, *shape] of the policy's space."""
    space = kinds.OBSERVATIONS[KINDS[policy][1]]
    rng, columns = np.random.default_rng(2), []
    for part in spaces.leaves(space):
        low, high = (-2, 5) if part.kind == "discrete" else (0, 10)
        columns.append(rng.integers(low, high, (ROWS, part.size)))
    return np.concatenate(columns, axis=1).astype(np.float32).reshape(ROWS, *spaces.row_shape(space))


@pytest.mark.parametrize("policy", KINDS)
def test_metadata_names_the_tensors_that_come(client: triton.InferenceServerClient, policy: str) -> None:
    """Names, types and shapes of the outputs are as announced.

    The configuration has them, too.
    """
    rows = _rows(policy)
    told = client.get_model_metadata(policy)
    assert {tensor.name: tensor.datatype for tensor in told.outputs} == (
        INDICES if policy in MASKS else VECTORS
    )
    assert list(told.inputs[0].shape) == [-1, *rows.shape[1:]]
    result = client.infer(policy, inputs(rows))
    for tensor in told.outputs:
        assert result.as_numpy(tensor.name).shape == (ROWS, *tensor.shape[1:])
    configured = client.get_model_config(policy).config
    assert [output.name for output in configured.output] == [tensor.name for tensor in told.outputs]
    assert list(configured.input[0].dims) == list(rows.shape[1:])


@pytest.mark.parametrize("policy", KINDS)
def test_answers_are_those_of_act(
    client: triton.InferenceServerClient, server: ServerProcess, policy: str
) -> None:
    """The same seed gives the same numbers over both protocols, bit for bit.

    That holds with masks and without.
    """
    rows, mask = _rows(policy), None
    request = ActRequest(policy=policy, seed=9, observations=FloatArray(raw=rows.tobytes()))
    if policy in MASKS:
        mask = np.ones((ROWS, MASKS[policy]), np.bool_)
        mask[:, 0] = False
        request.action_mask.CopyFrom(BoolArray(raw=mask.tobytes()))
    result = client.infer(policy, inputs(rows, mask), parameters={"seed": 9})
    act = server.policy.Act(request, timeout=60)
    for name in INDICES if policy in MASKS else VECTORS:
        assert result.as_numpy(name).tobytes() == getattr(act, "values" if name == "value" else name).raw
    if mask is not None:
        assert (result.as_numpy("action_probs")[:, 0] == 0).all()


def test_choices_out_of_range_are_refused(client: triton.InferenceServerClient) -> None:
    """A number that is no alternative of a Discrete observation is refused, as in Act."""
    with pytest.raises(InferenceServerException, match="observations"):
        client.infer("bits", inputs(np.full((1, 1), 5, np.float32)))
