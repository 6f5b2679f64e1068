"""The servers of a benchmark while it runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.serving.contestants import CONTESTANTS, Workplace, expected_by
from benchmarks.serving.policy import POLICY, publish
from benchmarks.serving.servers import Server
from policyd.repository.records import MODEL
from tests.policyd_server.compiled.needed import needs_front


@needs_front
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
@pytest.mark.parametrize(("kind", "restarts"), [("peer", 1), ("limit", 0)])
def test_only_a_peer_that_has_ended_is_started_again(tmp_path: Path, kind: str, restarts: int) -> None:
    """It then responds again. Servers of this project stay ended, so a crash of theirs is seen."""
    models = publish(tmp_path / "repository", versions=1)
    model = models.root / models.read(POLICY, 1).path / MODEL
    place = Workplace(tmp_path, models.root, model, expected_by(model.read_bytes()))
    contestant = replace(CONTESTANTS["C echo"], kind=kind)
    server = Server(contestant, place, [1], contestant.start(tmp_path / "first", place))
    try:
        server.check()
        assert not server.restart_if_ended()
        [process] = server.running.processes
        process.kill()
        process.wait()
        assert server.restart_if_ended() == (kind == "peer")
        assert server.restarts == restarts
        assert server.running.exited() == (kind == "limit")
    finally:
        server.stop()
