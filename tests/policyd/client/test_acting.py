"""ActCodec: a response of the contract to arrays."""

from __future__ import annotations

import numpy as np
import pytest

from policy_api.v1 import policy_pb2
from policyd.client.acting import ActCodec
from policyd.errors import Internal

ROWS = np.zeros((2, 4), np.float32)


def _response() -> policy_pb2.ActResponse:
    response = policy_pb2.ActResponse(policy="p", version=3, digest="d", batch_size=2, seed=7)
    response.actions.raw = np.array([1, 0], "<i8").tobytes()
    response.action_probs.raw = np.array([[0.25, 0.75], [0.5, 0.5]], "<f4").tobytes()
    response.log_probs.raw = np.array([-0.5, -1.0], "<f4").tobytes()
    return response


def test_each_field_has_its_rows() -> None:
    """Absent fields are [batch, 0], and values without a critic are None."""
    actions = ActCodec(ROWS).decode(_response())
    assert (actions.policy, actions.version, actions.digest, actions.seed) == ("p", 3, "d", 7)
    np.testing.assert_array_equal(actions.actions, [1, 0])
    np.testing.assert_array_equal(actions.action_probs, np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    np.testing.assert_array_equal(actions.log_probs, np.array([-0.5, -1.0], np.float32))
    assert actions.action_mean.shape == actions.action_std.shape == actions.gaussian_samples.shape == (2, 0)
    assert actions.values is None
    assert {actions.action_probs.dtype, actions.action_mean.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "field", ["actions", "action_probs", "log_probs", "values", "action_mean", "vectors"]
)
def test_bytes_that_are_no_rows_are_an_error_of_ours(field: str) -> None:
    """Any bytes from a server raise nothing but a PolicydError."""
    response = _response()
    getattr(response, field).raw = b"odd"
    with pytest.raises(Internal, match="cannot be read as 2 rows") as caught:
        ActCodec(ROWS).decode(response)
    assert caught.value.reason == "BAD_RESPONSE"


def test_a_response_without_rows_is_refused() -> None:
    """A response with a batch of 0 is refused if rows were sent."""
    response = _response()
    response.batch_size = 0
    with pytest.raises(Internal):
        ActCodec(np.zeros((0, 4), np.float32)).decode(response)
