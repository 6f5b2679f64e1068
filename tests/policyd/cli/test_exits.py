"""Exit codes: one for each kind of ending, and docs/guide/ci.md has the same table."""

from __future__ import annotations

import re
from pathlib import Path

from policyd.cli.exits import Exit
from policyd.cli.outcome import WORDS

PAGE = Path(__file__).parents[3] / "docs/guide/ci.md"


def test_the_guide_has_every_code() -> None:
    """The guide's table lists each exit code once, with its word in --json."""
    rows = dict(re.findall(r"^\| (\d+) \|([^|]*)\|", PAGE.read_text(), flags=re.MULTILINE))
    assert {int(code) for code in rows} == {int(code) for code in Exit}
    for code, word in WORDS.items():
        assert f"`{word}`" in rows[str(int(code))]
