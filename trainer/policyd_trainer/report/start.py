"""Starts `policyd-trainer report` as a process, without importing matplotlib here."""

from __future__ import annotations

import sys
from pathlib import Path

from policyd_trainer.guardian.board import BOARD

DEADLINE = 300.0  # seconds until the drawing of a report is given up
NICENESS = 10  # serving and learning take precedence


def start_report(repository: Path | str, policy: str, version: int) -> None:
    """Makes the guardian start the command when the run has ended."""
    BOARD.run_after(report_command(repository, policy, version))


def report_command(repository: Path | str, policy: str, version: int) -> list[str]:
    """The command line that draws the report."""
    where = ["--repository", str(repository), "--policy", policy, "--version", str(version)]
    return ["nice", "-n", str(NICENESS), sys.executable, "-m", "policyd_trainer", "report", *where]
