"""A full disk stops reports, and nothing that was durable is lost."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import Exhausted
from policyd.experience import disk_space
from policyd.experience.recorder import Recorder
from tests.policyd.experience.records import POLICY, decision, outcome, sealed


@contextmanager
def full_disk(root: Path) -> Iterator[None]:
    """Limits file sizes of this process to the journal's size."""
    size = sum(path.stat().st_size for path in (root / "journal").glob("*.log"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_refuses_reports_and_loses_nothing_that_was_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions are counted as lost meanwhile. When there is room, the episode goes on."""
    monkeypatch.setattr(disk_space, "FULL_SECONDS", 0.0)
    recorder = Recorder(tmp_path)
    recorder.decide(decision(0))
    recorder.commit()
    with full_disk(tmp_path):
        recorder.decide(decision(1))
        with pytest.raises(Exhausted) as caught:
            recorder.commit()
        assert (caught.value.reason, caught.value.retry_after) == ("DISK_FULL", disk_space.RETRY_AFTER)
        with pytest.raises(Exhausted):
            recorder.report(POLICY, "", [outcome(0)])
        assert not recorder.decide(decision(1))
    assert recorder.lost[POLICY] == 2
    assert recorder.decide(decision(1))
    assert recorder.report(POLICY, "", [outcome(0), outcome(1, pb.TERMINATED)]).message().recorded == 2
    recorder.commit()
    assert [step.step for step in sealed(tmp_path)[0].steps] == [0, 1]
    recorder.close()


def test_an_episode_that_a_full_disk_kept_open_is_sealed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome is durable in the journal. The log gets the episode when there is room."""
    monkeypatch.setattr(disk_space, "FULL_SECONDS", 0.0)
    recorder = Recorder(tmp_path)
    for step in range(20):
        recorder.decide(decision(step))
    recorder.commit()
    recorder.log(POLICY)
    recorder.report(POLICY, "", [outcome(step) for step in range(19)])
    recorder.commit()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder.report(POLICY, "", [outcome(19, pb.TERMINATED)])
    recorder._journal.commit(durable=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        recorder.commit()
        assert sealed(tmp_path) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recorder.seal_complete()
    recorder.seal_complete()
    assert [len(episode.steps) for episode in sealed(tmp_path)] == [20]
    recorder.close()
