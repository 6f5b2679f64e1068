"""The process that forks for others starts wherever temporary files are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FORKS = """
import os, tempfile
from policyd_trainer.guardian import forking

context = forking.context("json")
forking.ensure_running()
child = context.Process(target=os.getpid)
child.start()
child.join()
print(child.exitcode, tempfile.gettempdir())
"""


def test_a_long_path_of_temporary_files_is_no_obstacle(tmp_path: Path) -> None:
    """A Unix socket would not fit into it. Other temporary files still go there."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    environ = os.environ | {"TMPDIR": str(deep)}
    ran = subprocess.run(
        [sys.executable, "-c", FORKS], env=environ, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, f"0 {deep}\n"), ran.stderr
