"""Scripted servers for the tests of the compiled core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.policyd.client.wire.scripted import Script, ScriptedServer, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts scripted servers."""
    running: list[ScriptedServer] = []

    def start(script: Script) -> ScriptedServer:
        running.append(ScriptedServer(script))
        return running[-1]

    yield start
    for server in running:
        server.__exit__()
