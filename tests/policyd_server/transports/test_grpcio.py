"""What listens: one server an address, over each transport."""

from __future__ import annotations

from pathlib import Path

from tests.policyd_server.process import StartServer
from tests.policyd_server.test_run import run


def test_a_taken_port_is_one_line(start_server: StartServer, tmp_path: Path) -> None:
    """A second server on the same port ends at once with a message, not with a traceback."""
    server = start_server()
    code, text = run("--listen", server.address, "--repository", str(tmp_path))
    assert code == 1
    assert "cannot listen on" in text
    assert "Traceback" not in text
