"""A short run of the fuzzer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.policyd_server.compiled.fuzz.__main__ import run
from tests.policyd_server.compiled.needed import needs_compiler


@pytest.mark.long
@needs_compiler
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_odd_requests_are_no_finding_of_the_sanitizers(tmp_path: Path) -> None:
    """20,000 requests cause no memory fault and no undefined behaviour. Many get responses."""
    done = run(tmp_path, 20_000, 5)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"no finding: 20000 requests, (\d+) answered, (\d+) decisions", done.stdout)
    assert found is not None
    answered, recorded = map(int, found.groups())
    assert answered > 1000
    assert recorded > 20
