"""One thing is not told as several."""

from __future__ import annotations

import pytest

from policyd.counted import counted


@pytest.mark.parametrize(
    ("number", "things", "told"),
    [
        (0, "looks", "0 looks"),
        (1, "looks", "1 look"),
        (2, "looks", "2 looks"),
        (1, "paired episodes", "1 paired episode"),
        (1, "batches", "1 batch"),
        (1, "policies", "1 policy"),
        (12345, "policies", "12,345 policies"),
    ],
)
def test_the_noun_follows_the_number(number: int, things: str, told: str) -> None:
    """The noun agrees with the number, whatever its plural is."""
    assert counted(number, things) == told
