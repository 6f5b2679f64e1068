"""A short run of the fuzzer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.policyd_server.compiled.needed import needs_front
from tests.policyd_server.front.fuzz.__main__ import build


@needs_front
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_odd_frames_are_no_finding_of_the_sanitizers(tmp_path: Path) -> None:
    """20,000 inputs cause no memory fault and no undefined behaviour, and leave nothing behind."""
    done = subprocess.run([str(build(tmp_path)), "20000", "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no finding" in done.stdout
