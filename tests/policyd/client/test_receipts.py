"""Receipts: what act writes, verify recomputes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policyd.cli.exits import Exit


@pytest.fixture
def receipt(shell: Any, tmp_path: Path) -> Path:
    """A receipt of two sampled rows."""
    path = tmp_path / "receipt.json"
    assert (
        shell("act", "0,0,0.01,0", "[-0.1, 0, 0.02, -0.01]", "--seed", "7", "--receipt", str(path)) == Exit.OK
    )
    return path


def _tampered(path: Path, **changes: Any) -> Path:
    document = json.loads(path.read_text())
    for name, value in changes.items():
        (document["rows"][0] if name in document["rows"][0] else document)[name] = value
    path.write_text(json.dumps(document))
    return path


def test_an_untouched_receipt_is_verified(shell: Any, receipt: Path) -> None:
    """Actions and probabilities are recomputed and agree."""
    assert shell("verify", str(receipt)) == Exit.OK
    assert shell.out.count("ok") == 3
    assert shell("--json", "verify", str(receipt)) == Exit.OK
    assert shell.document["verified"] is True


def test_a_deterministic_answer_is_verified(shell: Any, tmp_path: Path) -> None:
    """Without sampling the action is the mode."""
    path = str(tmp_path / "receipt.json")
    shell("act", "0,0,0.01,0", "--deterministic", "--version", "1", "--receipt", path)
    assert shell("verify", path) == Exit.OK
    assert "1 action recomputed: the mode" in shell.out


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"seed": 8, "row": 3, "action": 0, "action_probs": [0.0, 1.0]}, "actions"),
        ({"action_probs": [0.41, 0.59]}, "probabilities"),
        ({"digest": "f" * 64}, "digest"),
        ({"version": 1}, "digest"),
        ({"observation": [0.0, 0.0, 0.2, 0.0]}, "probabilities"),
    ],
)
def test_a_tampered_receipt_fails(shell: Any, receipt: Path, changes: dict[str, Any], check: str) -> None:
    """The check that concerns each change finds it, with a code of its own."""
    assert shell("--json", "verify", str(_tampered(receipt, **changes))) == Exit.NOT_VERIFIED
    checks: Any = shell.document["checks"]
    assert check in [c["name"] for c in checks if not c["holds"]]


@pytest.mark.parametrize("changes", [{"seed": -1}, {"format": 2}, {"version": "x"}])
def test_a_malformed_receipt_names_the_field(shell: Any, receipt: Path, changes: dict[str, Any]) -> None:
    """A file that is not a receipt is a bad request that names the field."""
    assert shell("verify", str(_tampered(receipt, **changes))) == Exit.BAD_REQUEST
    assert f"{next(iter(changes))}: got" in shell.err
