"""Decisions and outcomes of one policy, and what a recorder has sealed of them."""

from __future__ import annotations

from pathlib import Path

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.sealed import read_sealed

POLICY = "cartpole"


def decision(step: int, episode: str = "e", version: int = 1, agent: str = "") -> pb.DecisionRecord:
    """A decision of one step."""
    recorded = pb.RecordedStep(step=step, version=version, observation=bytes([step] * 16), log_prob=-0.5)
    recorded.decide_time.GetCurrentTime()
    return pb.DecisionRecord(policy=POLICY, episode_id=episode, agent_id=agent, subject="s", step=recorded)


def outcome(
    step: int, end: pb.End.ValueType = pb.GOES_ON, *, reward: float = 1.0, part: str = "", agent: str = ""
) -> pb.Outcome:
    """The outcome of one step of episode `e`."""
    final = b"f" * 16 if end == pb.TRUNCATED else b""
    return pb.Outcome(
        episode_id="e", agent_id=agent, step=step, reward=reward, end=end, part=part, final_observation=final
    )


def sealed(root: Path) -> list[pb.Episode]:
    """The sealed episodes as a learner reads them, without the times."""
    episodes = [each.episode for each in read_sealed(root / "episodes" / POLICY)]
    for episode in episodes:
        episode.ClearField("seal_time")
        for step in episode.steps:
            step.ClearField("decide_time")
    return episodes
