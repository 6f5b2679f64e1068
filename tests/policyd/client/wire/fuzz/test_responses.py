"""Short runs of the fuzzers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.policyd.client.wire.fuzz.__main__ import build, run_codec
from tests.policyd.client.wire.needed import needs_wire


@needs_wire
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_odd_answers_are_no_finding_of_the_sanitizers(tmp_path: Path) -> None:
    """10,000 inputs cause no memory fault, no undefined behaviour and no endless call."""
    done = subprocess.run([str(build(tmp_path)), "10000", "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no finding" in done.stdout


@needs_wire
@pytest.mark.long
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_odd_messages_are_no_finding_of_the_sanitizers(tmp_path: Path) -> None:
    """20,000 messages cause no memory fault, and the codec agrees with protobuf on all of them."""
    done = run_codec(tmp_path, 20_000, 5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no finding" in done.stdout
