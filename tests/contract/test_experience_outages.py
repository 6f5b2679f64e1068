"""A recorder that is killed or has no room: nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import resource
import signal

import grpc
import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd import PolicyClient
from policyd.errors import Exhausted
from policyd.runtime.status import from_rpc_error
from tests.contract.recording import World, outcome
from tests.waiting import until


def test_a_killed_recorder_comes_back_with_everything_acknowledged(world: World) -> None:
    """The recorder is killed with kill -9 between the reports of one episode.

    The client repeats its call, and nothing counts twice.
    """
    for step in range(6):
        world.act("e", step)
        end = pb.TERMINATED if step == 5 else pb.GOES_ON
        assert world.report(outcome("e", step, end)).recorded == 1
        if step in (1, 3):
            os.kill(world.recorder(), signal.SIGKILL)
            _until_answered(world, step)
    [episode] = world.sealed()
    assert [(step.step, step.reward) for step in episode.steps] == [(step, 1.0) for step in range(6)]


def _until_answered(world: World, step: int) -> None:
    """Repeats a report that is known, as a client does while the recorder is away."""

    def is_answered() -> bool:
        try:
            assert world.report(outcome("e", step)).repeated == 1
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
            return False  # RetryInfo says a second; the test need not wait as long
        return True

    until(is_answered, lambda: "the recorder did not come back")


def test_a_full_disk_stops_reports_and_not_acting(world: World) -> None:
    """RetryInfo says when to try again. Decisions that were lost meanwhile are counted."""
    world.act("e", 0)
    world.report(outcome("e", 0))
    pid = world.recorder()
    size = max(path.stat().st_size for path in (world.root / "journal").glob("*.log"))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        assert world.act("e", 1).batch_size == 1
        with pytest.raises(grpc.RpcError) as caught:
            world.report(outcome("e", 0))
        error = from_rpc_error(caught.value)
        assert isinstance(error, Exhausted)
        assert error.reason == "DISK_FULL"
        assert 0 < error.retry_after < 30
        assert world.act("e", 1).batch_size == 1
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    _until_answered(world, 0)
    world.act("e", 1)
    assert world.report(outcome("e", 1, pb.TERMINATED)).recorded == 1
    [episode] = world.sealed()
    assert [step.step for step in episode.steps] == [0, 1]
    found = world.experience.GetExperience(pb.GetExperienceRequest(policy=world.policy), timeout=60)
    assert [(each.reason, each.steps > 0) for each in found.dropped] == [("DISK_FULL", True)]


def test_the_clients_buffer_survives_a_killed_recorder(world: World) -> None:
    """The client repeats waiting outcomes until the recorder is back.

    Nothing is lost or counted twice.
    """
    with PolicyClient(world.server.address, timeout=60) as client, client.episode(world.policy) as episode:
        for step in range(70):
            episode.act([step / 100, 0.0, 0.01, 0.0])
            if step in (20, 50):
                episode.flush()
                os.kill(world.recorder(), signal.SIGKILL)
            episode.reward(1, terminated=step == 69)
    [recorded] = world.sealed()
    assert [step.reward for step in recorded.steps] == [1.0] * 70
