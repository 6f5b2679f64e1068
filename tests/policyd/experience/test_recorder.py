"""Decisions and outcomes become sealed episodes, in any order."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience import recorder as recording
from policyd.experience.book import EpisodeKey
from policyd.experience.recorder import Recorder
from policyd.experience.sealed import Position, read_sealed
from tests.policyd.experience.records import POLICY, decision, outcome, sealed


def test_every_order_of_the_outcomes_gives_the_same_episode(tmp_path: Path) -> None:
    """Three steps are sealed when the last outcome has come. All 6 orders give the same bytes."""
    outcomes = [outcome(0), outcome(1, reward=2), outcome(2, pb.TRUNCATED)]
    results = []
    for number, order in enumerate(itertools.permutations(outcomes)):
        recorder = Recorder(tmp_path / str(number))
        for step in range(3):
            assert recorder.decide(decision(step))
        recorder.commit()
        for at, each in enumerate(order):
            assert sealed(tmp_path / str(number)) == []
            answer = recorder.report(POLICY, "robot", [each]).message()
            recorder.commit()
            assert (answer.recorded, at) == (1, at)
        results.append(sealed(tmp_path / str(number)))
        recorder.close()
    assert all(result == results[0] for result in results)
    [episode] = results[0]
    assert [step.reward for step in episode.steps] == [1, 2, 1]
    assert (episode.end, episode.final_observation) == (pb.TRUNCATED, b"f" * 16)


def test_outcomes_are_idempotent_by_their_key(tmp_path: Path) -> None:
    """A repeated outcome counts once.

    Another reward is a conflict, and the first stays. After the seal it is too late.
    """
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0))
    recorder.decide(decision(1))
    first = recorder.report(POLICY, "", [outcome(0), outcome(0), outcome(0, reward=5), outcome(7)]).message()
    assert (first.recorded, first.repeated, first.conflict_count, first.unknown_count) == (1, 1, 1, 1)
    assert [problem.index for problem in (*first.conflicts, *first.unknown)] == [2, 3]
    assert "got reward 5, known is 1" in first.conflicts[0].description
    recorder.report(POLICY, "", [outcome(1, pb.TERMINATED)])
    recorder.commit()
    assert recorder.report(POLICY, "", [outcome(1)]).message().too_late == 1
    assert [step.reward for step in sealed(tmp_path)[0].steps] == [1, 1]
    recorder.close()


def test_parts_of_a_reward_add_up(tmp_path: Path) -> None:
    """Named parts are summed. The episode is sealed after silence, since more parts may come."""
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0))
    parts = [outcome(0, pb.TERMINATED, part="click", reward=0.5), outcome(0, part="sale", reward=2)]
    assert recorder.report(POLICY, "", parts).message().recorded == 2
    recorder.commit()
    assert sealed(tmp_path) == []
    assert recorder.seal_silent(POLICY, silence=0) == 1
    [episode] = sealed(tmp_path)
    assert (episode.steps[0].reward, episode.end) == (2.5, pb.TERMINATED)
    recorder.close()


def test_a_silent_episode_is_cut(tmp_path: Path) -> None:
    """A silent episode ends as ABANDONED, and steps without an outcome are marked.

    Before an hour of silence it is open.
    """
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0))
    recorder.decide(decision(1))
    recorder.report(POLICY, "", [outcome(0)])
    recorder.commit()
    assert recorder.seal_silent(POLICY, silence=3600) == 0
    assert recorder.seal_silent(POLICY, silence=0) == 1
    [episode] = sealed(tmp_path)
    assert (episode.end, [step.reported for step in episode.steps]) == (pb.ABANDONED, [True, False])
    recorder.close()


def test_a_clock_that_is_set_makes_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a step forward nor one back seals an open episode, and real silence still does."""
    recorder, real = Recorder(tmp_path), time.time
    recorder.decide(decision(0))
    for ahead in (7200.0, 0.0, -7200.0, 7200.0):
        monkeypatch.setattr(time, "time", lambda ahead=ahead: real() + ahead)
        assert recorder.seal_silent(POLICY, silence=3600) == 0
        recorder.decide(decision(1))
        assert recorder.seal_silent(POLICY, silence=3600) == 0
    recorder.commit()
    assert recorder.seal_silent(POLICY, silence=-1) == 1
    recorder.close()


def test_a_final_observation_of_another_size_counts_as_missing(tmp_path: Path) -> None:
    """A learner uses what it can; the episode still counts as truncated."""
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0))
    told = outcome(0, pb.TRUNCATED)
    told.final_observation = b"f" * 12
    recorder.report(POLICY, "", [told])
    recorder.commit()
    [episode] = sealed(tmp_path)
    assert (episode.end, episode.final_observation) == (pb.TRUNCATED, b"")
    recorder.close()


def test_too_many_open_episodes_are_dropped_unless_they_have_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Episodes silent for longest go first. Episodes with acknowledged outcomes are sealed."""
    monkeypatch.setattr(recording, "MOST_OPEN", 10)
    recorder = Recorder(tmp_path)
    for number in range(10):
        recorder.decide(decision(0, f"e{number}"), now=float(number))
    recorder.drop_surplus()
    assert len(recorder.book.episodes) == 10
    acknowledged = pb.Outcome(episode_id="e0", step=0, reward=3)
    assert recorder.report(POLICY, "", [acknowledged]).message().recorded == 1
    recorder.book.episodes[EpisodeKey(POLICY, "e0", "")].changed = 0.5
    recorder.decide(decision(0, "new"), now=20.0)
    recorder.commit()
    recorder.drop_surplus()  # a tenth more
    assert [key.episode_id for key in recorder.book.episodes] == [*(f"e{n}" for n in range(2, 10)), "new"]
    assert recorder.overflowed[POLICY] == 1
    assert [(e.episode_id, e.steps[0].reward) for e in sealed(tmp_path)] == [("e0", 3)]
    recorder.close()


def test_silent_episodes_are_sealed_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the groups, calls get their responses."""
    monkeypatch.setattr(recording, "SEALED_AT_ONCE", 3)
    recorder = Recorder(tmp_path)
    for number in range(5):
        recorder.decide(decision(0, f"e{number}"))
    recorder.commit()
    assert [recorder.seal_silent(POLICY, silence=0) for _ in range(3)] == [3, 2, 0]
    recorder.close()


def test_two_agents_of_one_episode_are_two_sequences(tmp_path: Path) -> None:
    """Each agent's steps are numbered and sealed separately."""
    recorder = Recorder(tmp_path)
    for agent in ("left", "right"):
        recorder.decide(decision(0, agent=agent))
    recorder.report(POLICY, "", [outcome(0, pb.TERMINATED, agent="left")])
    recorder.commit()
    assert [episode.agent_id for episode in sealed(tmp_path)] == ["left"]
    recorder.close()


def test_a_repeated_decision_replaces_the_first_until_it_has_an_outcome(tmp_path: Path) -> None:
    """A client that repeats a request plays the last response, and that one is learned from."""
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0, version=1))
    assert recorder.decide(decision(0, version=2))
    recorder.report(POLICY, "", [outcome(0, pb.TERMINATED)])
    assert not recorder.decide(decision(0, version=3))
    recorder.commit()
    assert [step.version for step in sealed(tmp_path)[0].steps] == [2]
    recorder.close()


def test_a_learner_goes_on_where_it_was(tmp_path: Path) -> None:
    """Positions stay valid while episodes are appended and deleted."""
    recorder = Recorder(tmp_path)
    position = Position()
    for number in range(5):
        recorder.decide(decision(0, episode=f"e{number}"))
        end = pb.Outcome(episode_id=f"e{number}", step=0, reward=number, end=pb.TERMINATED)
        recorder.report(POLICY, "", [end])
        recorder.commit()
        [new] = read_sealed(tmp_path / "episodes" / POLICY, position)
        assert new.episode.steps[0].reward == number
        position = new.after
    assert recorder.log(POLICY).delete(lambda episode: episode.episode_id in ("e1", "e4")) == 2
    assert list(read_sealed(tmp_path / "episodes" / POLICY, position)) == []
    assert [episode.episode_id for episode in sealed(tmp_path)] == ["e0", "e2", "e3"]
    recorder.close()


def test_an_episode_that_is_too_long_for_a_record_keeps_its_beginning(tmp_path: Path) -> None:
    """The recorder does not end, and one that starts has nothing left to seal."""
    observation = bytes(8 << 20)
    recorder = Recorder(tmp_path)
    for step in range(9):
        record = decision(step)
        record.step.observation = observation
        recorder.decide(record)
    ends = [pb.GOES_ON] * 8 + [pb.TERMINATED]
    recorder.report(POLICY, "", [outcome(step, end) for step, end in enumerate(ends)])
    recorder.commit()
    [episode] = sealed(tmp_path)
    assert ([step.step for step in episode.steps], episode.end) == (list(range(7)), pb.ABANDONED)
    assert recorder.left_out == {POLICY: 2}
    recorder.close()
    again = Recorder(tmp_path)
    assert (again.book.episodes, len(sealed(tmp_path))) == ({}, 1)
    again.close()
