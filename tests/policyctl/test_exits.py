"""Exit codes: one for each kind of ending, and the README tells the same."""

from __future__ import annotations

import re
from pathlib import Path

from policyctl.exits import Exit
from policyctl.outcome import WORDS

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_every_code() -> None:
    """The README's table lists each exit code once, with its word in --json."""
    rows = dict(re.findall(r"^\| (\d+) \|([^|]*)\|", README.read_text(), flags=re.MULTILINE))
    assert {int(code) for code in rows} == {int(code) for code in Exit}
    for code, word in WORDS.items():
        assert f"`{word}`" in rows[str(int(code))]
