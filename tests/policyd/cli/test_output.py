"""policyctl's own output never controls the terminal, whatever text of others is in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policyd.cli import output

HOSTILE = "\x1b]0;title\x07\x1b[31m\u202ered\r"
SAFE = r"\x1b]0;title\x07\x1b[31m\u202ered\r"


def test_results_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and tabs are kept."""
    output.write(f"one\ttwo\n{HOSTILE}")
    assert capsys.readouterr().out == f"one\ttwo\n{SAFE}\n"


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An error is one line even if its message has several."""
    output.write_error(f"REASON: one\n two {HOSTILE}!")
    assert capsys.readouterr().err == f"policyctl: REASON: one two {SAFE[:-2]} !\n"


def test_a_log_in_a_file_is_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program gets every character of the log. A terminal gets no control characters."""
    with (tmp_path / "log").open("w+", newline="") as file:
        monkeypatch.setattr("sys.stdout", file)
        output.write_log(HOSTILE)
        file.flush()
    assert (tmp_path / "log").read_bytes().decode() == HOSTILE
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        output.write_log(HOSTILE)
        terminal.flush()
        assert os.read(master, 1000).decode() == SAFE
    os.close(master)
