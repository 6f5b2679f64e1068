"""Observations that are forgotten, and what a learner has read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import CorruptArtifact
from policyd.experience.learned import Learned, read_learned, write_learned
from policyd.experience.sealed import Position, SealedLog, read_sealed


def episode(number: int) -> pb.Episode:
    step = pb.RecordedStep(
        step=0, version=1, observation=b"seen", action=b"act", reward=number, reported=True
    )
    return pb.Episode(
        policy="p", episode_id=str(number), steps=[step], end=pb.TRUNCATED, final_observation=b"last"
    )


def test_observations_up_to_a_position_are_forgotten(tmp_path: Path) -> None:
    """No file has the observations; rewards, actions and all after the position stay.

    Doing it twice changes nothing more.
    """
    log = SealedLog(tmp_path, segment_bytes=1)  # one segment per commit
    for number in range(4):
        log.append(episode(number))
        log.commit()
    log.append(episode(4))
    log.commit()
    found = list(read_sealed(tmp_path))
    until = found[2].after
    assert log.forget_observations(Position(), until) == until
    assert log.forget_observations(Position(), until) == until
    log.close()
    again = list(read_sealed(tmp_path))
    assert [each.observed for each in again] == [False, False, False, True, True]
    assert [each.episode.steps[0].reward for each in again] == [0, 1, 2, 3, 4]
    assert [each.after for each in again] == [each.after for each in found]
    assert again[0].episode.steps[0].observation == bytes(4)
    assert again[0].episode.final_observation == bytes(4)
    assert again[0].episode.steps[0].action == b"act"
    assert again[3].episode == episode(3)
    assert sum(b"seen" in path.read_bytes() for path in tmp_path.glob("*.log")) == 2


def test_what_was_learned_reads_back(tmp_path: Path) -> None:
    """Before the first time there is nothing. A damaged file is named."""
    assert read_learned(tmp_path, "p") == Learned()
    dropped = (pb.DroppedEpisodes(reason="TOO_OLD", episodes=3, steps=9, lengths=[0, 3]),)
    learned = Learned(Position(2, 77), 12, 340, dropped)
    write_learned(tmp_path, "p", learned)
    assert read_learned(tmp_path, "p") == learned
    (tmp_path / "learned" / "p.json").write_text("{}")
    with pytest.raises(CorruptArtifact, match=r"p\.json is damaged"):
        read_learned(tmp_path, "p")


def test_retention_reaches_a_log_that_never_fills_a_segment(tmp_path: Path) -> None:
    """A segment is closed when it is old, and later removed. What waits for a commit is kept."""
    log = SealedLog(tmp_path)
    log.append(episode(0))
    log.commit()
    assert log.expire(3600) == 0  # too young to be closed
    log.append(episode(1))
    assert log.expire(-60) == 0  # it counts as old now; episode 1 waits
    log.commit()
    assert [each.episode for each in read_sealed(tmp_path)] == [episode(0), episode(1)]
    log.close()
    log = SealedLog(tmp_path)  # another process began the segment: its age is unknown
    assert log.expire(3600) == 0
    log.append(episode(2))
    log.commit()
    path = tmp_path / "00000001.log"
    os.utime(path, (0, 0))
    assert log.expire(3600) == 1
    assert [each.episode for each in read_sealed(tmp_path)] == [episode(2)]
    log.close()
