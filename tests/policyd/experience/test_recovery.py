"""A recorder that starts goes on with what an earlier one left, whenever that one died."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience import book
from policyd.experience.recorder import Recorder
from policyd.runtime.memory import forget_peak, peak_bytes
from tests.policyd.experience.records import POLICY, decision, outcome, sealed


@pytest.mark.parametrize("seed", range(8))
def test_nothing_acknowledged_is_lost_at_any_byte(tmp_path: Path, seed: int) -> None:
    """The journal is cut at any byte after the last commit, as after a crash."""
    random_numbers = random.Random(seed)
    recorder = Recorder(tmp_path)
    journal = tmp_path / "journal" / "00000001.log"
    acknowledged: list[int] = []
    for step in range(20):
        recorder.decide(decision(step))
        recorder.commit()
        recorder.report(POLICY, "", [outcome(step)])
        if random_numbers.random() < 0.3:
            recorder.commit()
            size = journal.stat().st_size
            acknowledged.append(step)
            recorder.report(POLICY, "", [outcome(step, part="more")])  # queued, but never acknowledged
            data = journal.read_bytes()
            recorder.close()
            later = journal.read_bytes()[size:]
            journal.write_bytes(data[:size] + later[: random_numbers.randrange(len(later) + 1)])
            recorder = Recorder(tmp_path)
    again = recorder.report(POLICY, "", [outcome(step) for step in acknowledged]).message()
    assert again.repeated == len(acknowledged)
    recorder.close()


def test_an_episode_sealed_before_the_crash_is_not_sealed_again(tmp_path: Path) -> None:
    """The journal still has the records, but the log of sealed episodes decides."""
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0))
    recorder.report(POLICY, "", [outcome(0, pb.TERMINATED)])
    recorder.commit()
    recorder.close()
    recorder = Recorder(tmp_path)
    assert len(sealed(tmp_path)) == 1
    assert recorder.report(POLICY, "", [outcome(0)]).message().too_late == 1
    recorder.close()


def test_no_episode_is_sealed_again_however_many_the_journal_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that starts compares with the whole log, not only with the newest names."""
    monkeypatch.setattr(book, "REMEMBERED", 3)
    recorder = Recorder(tmp_path)
    for name in "abcdefgh":
        recorder.decide(decision(0, name))
        ended = outcome(0, pb.TERMINATED)
        ended.episode_id = name
        recorder.report(POLICY, "", [ended])
        recorder.commit()
    recorder.close()
    Recorder(tmp_path).close()
    assert [episode.episode_id for episode in sealed(tmp_path)] == list("abcdefgh")


def test_an_episode_that_retention_deleted_is_not_sealed_again(tmp_path: Path) -> None:
    """An open episode keeps the journal's records longer. Retention deletes those, too."""
    recorder = Recorder(tmp_path)
    for name in "eo":
        recorder.decide(decision(0, name))
    recorder.report(POLICY, "", [outcome(0, pb.TERMINATED)])
    recorder.commit()
    os.utime(tmp_path / "episodes" / POLICY / "00000001.log", (time.time() - 100,) * 2)
    recorder.log(POLICY)._begun = 0.0  # so that it counts as old
    assert recorder.expire(POLICY, 60) == 1
    recorder.close()
    recorder = Recorder(tmp_path)
    assert sealed(tmp_path) == []
    assert [key.episode_id for key in recorder.book.episodes] == ["o"]
    assert recorder.report(POLICY, "", [outcome(0)]).message().unknown_count == 1
    last = pb.Outcome(episode_id="o", step=0, end=pb.TERMINATED)
    assert recorder.report(POLICY, "", [last]).message().recorded == 1
    recorder.commit()
    assert [episode.episode_id for episode in sealed(tmp_path)] == ["o"]
    recorder.close()


def test_a_recorder_starts_with_a_journal_that_is_larger_than_its_memory(tmp_path: Path) -> None:
    """It reads 96 MiB of decisions, and never has a third of that in memory."""
    recorder = Recorder(tmp_path)
    for step in range(96):
        record = decision(step)
        record.step.observation = bytes(1 << 20)
        recorder.decide(record)
        recorder.commit()
    recorder.close()
    if not forget_peak():
        pytest.skip("this kernel does not measure the peak")
    before = peak_bytes()
    again = Recorder(tmp_path)
    assert peak_bytes() - before < 32 << 20
    assert [len(episode.places) for episode in again.book.episodes.values()] == [96]
    again.close()
