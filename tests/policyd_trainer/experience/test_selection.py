"""Caps on a caller's and a subject's share of a batch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policyd_trainer.experience.selection import Candidate, Dropped, largest_parts, within_shares
from policyd_trainer.experience.sequences import Sequence


def candidate(caller: str, steps: int, subject: str = "s") -> Candidate:
    zeros = np.zeros(steps, np.float32)
    rows = np.zeros((steps, 1), np.float32)
    return Candidate(Sequence(rows, zeros, zeros, zeros, zeros.astype(np.int64), True, None), caller, subject)


@given(
    episodes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), min_size=1, max_size=40),
    share=st.floats(0.05, 0.9),
)
def test_nobody_has_more_than_its_share(episodes: list[tuple[str, int]], share: float) -> None:
    """A caller keeps at most share / (1 - share) times the steps of all others.

    What is dropped is counted.
    """
    dropped = Dropped()
    candidates = [candidate(caller, steps) for caller, steps in episodes]
    kept = within_shares(candidates, share, 0, dropped)
    whole = sum(steps for _, steps in episodes)
    for caller in {caller for caller, _ in episodes}:
        own = sum(steps for who, steps in episodes if who == caller)
        used = sum(len(c.sequence) for c in kept if c.caller == caller)
        if own < whole:
            assert used <= share / (1 - share) * (whole - own) + 1e-9
        else:
            assert used == own
    assert len(kept) + dropped.episodes["CALLER_CAP"] == len(candidates)


@given(
    totals=st.lists(st.integers(1, 60), min_size=2, max_size=9),
    share=st.floats(0.05, 0.9),
)
def test_callers_with_too_many_steps_make_no_room_for_each_other(totals: list[int], share: float) -> None:
    """Where there are enough callers, nobody has more than its share of what all keep."""
    kept = [min(pair) for pair in zip(totals, largest_parts(totals, share), strict=True)]
    if share * len(totals) > 1:
        assert max(kept) <= share * sum(kept) + 1e-9


def test_two_floods_are_cut() -> None:
    """Of two times 450 steps, a share of a tenth keeps 12 each beside the 100 of ten others."""
    dropped = Dropped()
    floods = [candidate(caller, 1) for caller in "xy" for _ in range(450)]
    honest = [candidate(str(number), 10) for number in range(10)]
    kept = within_shares([*floods, *honest], 0.1, 0, dropped)
    assert [sum(len(c.sequence) for c in kept if c.caller == caller) for caller in "xy"] == [12, 12]
    assert len(kept) == 34
    assert dropped.steps["CALLER_CAP"] == 876


def test_a_flood_by_one_caller_is_cut() -> None:
    """Of 900 steps by one caller, a share of a tenth keeps at most 11 beside the others' 100."""
    dropped = Dropped()
    candidates = [candidate("flood", 9) for _ in range(100)] + [candidate("honest", 10) for _ in range(10)]
    kept = within_shares(candidates, 0.1, 0, dropped)
    assert sum(len(c.sequence) for c in kept if c.caller == "flood") == 9
    assert sum(len(c.sequence) for c in kept if c.caller == "honest") == 100
    assert dropped.lengths["CALLER_CAP"] == {3: 99}  # 8 to 15 steps


def test_no_cap_drops_nothing() -> None:
    """Shares of 0 and 1 drop nothing."""
    dropped = Dropped()
    candidates = [candidate("a", 5), candidate("b", 500)]
    assert within_shares(candidates, 0, 1, dropped) == candidates
    assert not dropped.episodes
