"""Aliases that several versions share: who answers a request without a key."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from policyd_server.models.splits import TOGETHER_SECONDS, Dealer, Split

BASE: Any = "base"
OTHER: Any = "other"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time of the clock."""
        return self.now


def test_those_who_come_together_go_together() -> None:
    """Requests within a short time of the first get one number, and later ones another."""
    clock, numbers = Clock(), itertools.count()
    dealer = Dealer(lambda: float(next(numbers)), clock)
    assert [dealer.number(), dealer.number()] == [0.0, 0.0]
    clock.now += 0.9 * TOGETHER_SECONDS
    assert dealer.number() == 0.0
    clock.now += 0.2 * TOGETHER_SECONDS
    assert [dealer.number(), dealer.number()] == [1.0, 1.0]


@pytest.mark.parametrize("apart", [0.3, 4.0], ids=["many at a time", "one at a time"])
def test_shares_are_kept(apart: float) -> None:
    """A version gets its share of the requests, however these arrive."""
    clock = Clock()
    split = Split(BASE, ((0.3, OTHER),), "salt", Dealer(clock=clock))
    dealt = []
    for _ in range(60_000):
        clock.now += apart * TOGETHER_SECONDS
        dealt.append(split.pick(""))
    assert dealt.count(OTHER) / len(dealt) == pytest.approx(0.3, abs=0.03)  # fails once in 10^15 runs


def test_a_key_has_one_version_whenever_it_comes() -> None:
    """The time has no influence."""
    clock = Clock()
    split = Split(BASE, ((0.5, OTHER),), "salt", Dealer(clock=clock))
    first = [split.pick(f"key {number}") for number in range(50)]
    assert set(first) == {BASE, OTHER}
    clock.now += 10.0
    assert [split.pick(f"key {number}") for number in range(50)] == first
