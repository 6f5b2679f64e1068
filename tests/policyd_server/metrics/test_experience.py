"""Metrics of what clients decide and report, of a real server with two workers."""

from __future__ import annotations

import time

import numpy as np

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policy_api.v1.policy_pb2 import ActRequest, Decision, FloatArray
from policyd.experience.learned import Learned, write_learned
from policyd.experience.sealed import Position, SealedLog
from policyd.repository import ModelRepository
from policyd_server.metrics.experience import lag_seconds
from tests.policyd_server.metrics.test_metrics import await_value, value
from tests.policyd_server.process import Publish, StartServer


def test_decisions_outcomes_and_returns_are_shown(
    start_server: StartServer, publish: Publish, repository: ModelRepository
) -> None:
    """There are counts by policy and result, open episodes, dropped steps and the newest return."""
    publish()
    dropped = pb.DroppedEpisodes(reason="TOO_OLD", episodes=1, steps=7)
    write_learned(repository.root / "experience", "cartpole", Learned(Position(), 3, 40, (dropped,)))
    server = start_server("--metrics", "127.0.0.1:0", "--workers", "2")
    experience = ExperienceServiceStub(server.channel)
    config = pb.ExperienceConfig(mode=pb.ExperienceConfig.LEARN)
    experience.SetExperienceConfig(
        pb.SetExperienceConfigRequest(policy="cartpole", config=config), timeout=60
    )
    raw = FloatArray(raw=np.zeros(4, np.float32).tobytes())
    for episode in ("sealed", "open"):
        request = ActRequest(policy="cartpole", observations=raw, decisions=[Decision(episode_id=episode)])
        server.policy.Act(request, timeout=60)
    outcomes = [pb.Outcome(episode_id=name, reward=2.5, end=pb.TERMINATED) for name in ("sealed", "never")]
    experience.ReportOutcomes(pb.ReportOutcomesRequest(policy="cartpole", outcomes=outcomes), timeout=60)
    await_value(server, 2, "policyd_decisions_total", policy="cartpole")
    await_value(server, 1, "policyd_outcomes_total", policy="cartpole", result="recorded")
    await_value(server, 1, "policyd_outcomes_total", policy="cartpole", result="unknown")
    await_value(server, 1, "policyd_open_episodes", policy="cartpole")
    await_value(server, 2.5, "policyd_experience_return", policy="cartpole")
    await_value(server, 1, "policyd_experience_version", policy="cartpole")
    await_value(server, 40, "policyd_experience_used_steps", policy="cartpole")
    await_value(server, 7, "policyd_experience_dropped_steps", policy="cartpole", reason="TOO_OLD")
    # Nothing is counted twice on the way, or by both workers.
    assert value(server, "policyd_decisions_total", policy="cartpole") == 2
    assert value(server, "policyd_outcomes_total", policy="cartpole", result="recorded") == 1


def test_the_lag_is_the_age_of_the_oldest_episode_that_no_job_has_read(repository: ModelRepository) -> None:
    """The lag is 0 without episodes, and if all are read."""
    root = repository.root
    assert lag_seconds(root, "p") == 0
    log = SealedLog(root / "episodes" / "p")
    for age in (90, 30):
        episode = pb.Episode(policy="p", episode_id=str(age))
        episode.seal_time.FromNanoseconds(time.time_ns() - age * 10**9)
        log.append(episode)
        log.commit()
    size = next((root / "episodes" / "p").glob("*.log")).stat().st_size
    log.close()
    assert 90 <= lag_seconds(root, "p") < 120
    write_learned(root, "p", Learned(Position(1, size // 2)))
    assert 30 <= lag_seconds(root, "p") < 60
    write_learned(root, "p", Learned(Position(1, size)))
    assert lag_seconds(root, "p") == 0
