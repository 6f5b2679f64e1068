"""What the recorder tells of a canary's episodes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.recorder import Recorder
from policyd_server.experience.evidence import Evidence, EvidenceDesk, Question

POLICY = "p"


def _play(recorder: Recorder, episode: str, version: int, began: float, reward: float | None) -> None:
    """Decides one step, and reports it. If `reward` is None, the episode is given up."""
    step = pb.RecordedStep(version=version)
    step.decide_time.FromNanoseconds(int(began * 1e9))
    recorder.decide(pb.DecisionRecord(policy=POLICY, episode_id=episode, step=step))
    end = pb.ABANDONED if reward is None else pb.TERMINATED
    recorder.report(POLICY, "", [pb.Outcome(episode_id=episode, reward=reward or 0.0, end=end)])
    recorder.commit()


def test_episodes_are_compared_up_to_the_oldest_that_is_open(tmp_path: Path) -> None:
    """Start times, a missing outcome, other versions and an open episode are handled."""
    recorder = Recorder(tmp_path)
    desk, begin = EvidenceDesk(recorder), time.time()

    def ask() -> Evidence:
        question = Question(POLICY, begin - 5, 1, 2)
        return Evidence.of(desk.answer("", json.dumps(question).encode()))

    _play(recorder, "before", 2, begin - 10, 9.0)
    for number, reward in enumerate((1.0, None, 3.0)):
        _play(recorder, f"canary-{number}", 2, begin - 2, reward)
    _play(recorder, "champion", 1, begin - 2, 7.0)
    _play(recorder, "another", 5, begin - 2, 7.0)
    found = ask()
    assert (found.canary.returns.n, found.canary.returns.mean) == (2, 2.0)
    assert found.canary.reported.n == 3
    assert found.canary.reported.mean == pytest.approx(2 / 3)
    assert (found.champion.returns.mean, found.unanswered, found.behind) == (7.0, 1, False)
    step = pb.RecordedStep(version=2)
    recorder.decide(pb.DecisionRecord(policy=POLICY, episode_id="open", step=step))
    _play(recorder, "later", 2, time.time() + 60, 100.0)
    assert ask() == Evidence(found.champion, found.canary, 0, 0, behind=False)
    recorder.seal_silent(POLICY, -1)
    assert ask().canary.reported.n == 3  # "later" begins after this moment
    recorder.close()
