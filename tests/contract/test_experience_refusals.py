"""What a server does not record, and how it says so."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1 import policy_pb2
from policyd.errors import FailedPrecondition, InvalidArgument, PolicydError
from policyd.runtime.status import from_rpc_error
from tests.contract.recording import World, outcome

NOT_A_NUMBER = np.array([0, 0, np.nan, 0], "<f4").tobytes()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (pb.Outcome(episode_id="", step=0), "outcomes[0].episode_id"),
        (pb.Outcome(episode_id="e" * 65, step=0), "outcomes[0].episode_id"),
        (pb.Outcome(episode_id="e", step=-1), "outcomes[0].step"),
        (pb.Outcome(episode_id="e", reward=1.5), "outcomes[0].reward"),
        (pb.Outcome(episode_id="e", reward=float("nan")), "outcomes[0].reward"),
        (pb.Outcome(episode_id="e", end=pb.TRUNCATED), "outcomes[0].final_observation"),
        (pb.Outcome(episode_id="e", final_observation=b"x"), "outcomes[0].final_observation"),
        (
            pb.Outcome(episode_id="e", end=pb.TRUNCATED, final_observation=b"abc"),
            "outcomes[0].final_observation",
        ),
        (
            pb.Outcome(episode_id="e", end=pb.TRUNCATED, final_observation=NOT_A_NUMBER),
            "outcomes[0].final_observation",
        ),
    ],
)
def test_a_wrong_outcome_is_named(world: World, wrong: pb.Outcome, field: str) -> None:
    """INVALID_ARGUMENT names the field, and nothing of the request is recorded."""
    world.act("good", 0)
    with pytest.raises(grpc.RpcError) as caught:
        world.report(wrong, outcome("good", 0, pb.TERMINATED))
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert field in [violation.field for violation in error.violations]
    assert world.sealed() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"deterministic": True}, "deterministic"),
        ({"decisions": []}, ""),
        ({"decisions": [policy_pb2.Decision(episode_id="e"), policy_pb2.Decision()]}, "decisions"),
        ({"decisions": [policy_pb2.Decision()]}, "decisions[0].episode_id"),
        ({"decisions": [policy_pb2.Decision(episode_id="e", step=-2)]}, "decisions[0].step"),
    ],
)
def test_a_wrong_name_is_refused(world: World, change: dict[str, object], field: str) -> None:
    """The violation names the field. A request without names gets a response as before."""
    request = world.named("e", 0)
    for name, value in change.items():
        request.ClearField(name)  # type: ignore[arg-type]
        if isinstance(value, list):
            request.decisions.extend(value)
        else:
            request.deterministic = bool(value)
    if not field:
        assert world.server.policy.Act(request, timeout=60).batch_size == 1
        return
    with pytest.raises(grpc.RpcError) as caught:
        world.server.policy.Act(request, timeout=60)
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == field


def test_a_policy_that_is_off_records_nothing(world: World) -> None:
    """With mode OFF acting goes on, and reporting gives EXPERIENCE_OFF."""
    world.configure(pb.ExperienceConfig.OFF)
    world.act("e", 0)
    with pytest.raises(grpc.RpcError) as caught:
        world.report(outcome("e", 0))
    error: PolicydError = from_rpc_error(caught.value)
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "EXPERIENCE_OFF"
