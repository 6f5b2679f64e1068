"""A job runs with a lower priority than what serves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from policyd_trainer.guardian.priority import NICENESS
from policyd_trainer.jobs.worker import guarded_command

TELL = """
import os, pathlib, sys
autogroup = pathlib.Path("/proc/self/autogroup")
words = autogroup.read_text().split() if autogroup.exists() else ["-"]
pathlib.Path(sys.argv[1]).write_text(f"{os.nice(0)} {words[-1]}")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guardians are Linux's")
def test_a_job_is_nice(tmp_path: Path) -> None:
    """A job lowers its own priority, and its session's if the kernel has autogroups."""
    command = [sys.executable, "-c", TELL, str(tmp_path / "told")]
    guarded = guarded_command("a-job", tmp_path / "log", command)
    subprocess.run(guarded, check=False, start_new_session=True, capture_output=True, timeout=60)
    niceness, session = (tmp_path / "told").read_text().split()
    assert int(niceness) == min(19, os.nice(0) + NICENESS)
    assert session in ("-", str(NICENESS))
