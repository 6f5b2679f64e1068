"""No test takes a machine that stands still for a minute for a failure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from policyd.client.channel import DEFAULT_TIMEOUT

FOLDER = Path(__file__).parent
PATIENT = 60  # seconds; below one, the time itself is what is tested
METHODS = {"wait", "wait_for", "join", "result", "exception", "settimeout", "timeout"}
WORDS = {"timeout", "network_timeout"}


def _seconds(call: ast.Call) -> Iterator[float]:
    """The numbers that say how long a call may take."""
    given = [word.value for word in call.keywords if word.arg in WORDS]
    if ast.unparse(call.func).endswith("PolicyClient") and call.args and not call.keywords:
        yield DEFAULT_TIMEOUT
    if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
        given += call.args
    for value in given:
        if isinstance(value, ast.Constant) and type(value.value) in (int, float):
            yield float(value.value)  # type: ignore[arg-type]  # the line above says so


def _short_waits(source: str) -> list[int]:
    """The lines with a wait that is too short."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if any(1 <= seconds < PATIENT for seconds in _seconds(call))]


def test_waits_are_patient() -> None:
    """A wait ends when what it waits for comes, so a long one costs nothing."""
    lines = {path: _short_waits(path.read_text()) for path in FOLDER.rglob("*.py")}
    assert not {path: found for path, found in lines.items() if found}


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("stub.Act(x, timeout=20)", 1),
        ("stub.Act(x, timeout=60)", 0),
        ("thread.join(30)", 1),
        ("PolicyClient(address)", 1),
        ("PolicyClient(address, timeout=60)", 0),
        ("a.join(b)", 0),
    ],
)
def test_short_waits_are_found(source: str, short: int) -> None:
    assert len(_short_waits(source)) == short
