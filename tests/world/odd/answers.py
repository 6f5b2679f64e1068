"""What odd environments answer: observations by habit, and the five values of a step."""

from __future__ import annotations

import fractions
from collections.abc import Callable
from typing import Any

import numpy as np

BUFFER = np.zeros(3, np.float32)


def _same_buffer(seen: Any) -> Any:
    BUFFER[:] = seen
    return BUFFER


async def _later(given: Any) -> Any:
    return given


SEEN: dict[str, Callable[[Any], Any]] = {
    "the same buffer": _same_buffer,
    "objects": lambda seen: seen.astype(object),
    "complex": lambda seen: seen.astype(complex),
    "masked": lambda seen: np.ma.masked_array(seen, mask=[True, False, False]),
    "outside its space": lambda seen: seen * 1e30,
    "a column": lambda seen: seen[:, None],
    "a generator": iter,
    "float64": lambda seen: seen.astype(np.float64),
    "not contiguous": lambda seen: np.repeat(seen, 2)[::2],
    "read-only": lambda seen: (seen.setflags(write=False), seen)[1],
    "a list": lambda seen: seen.tolist(),
    "integers": lambda seen: seen.astype(np.int64),
    "NaN seen": lambda seen: seen * np.nan,
    "too wide": lambda seen: np.repeat(seen, 2),
    "text": lambda _: "nothing",
    "none": lambda _: None,
}
ANSWERED: dict[str, Callable[[Any], Any]] = {
    "a coroutine": _later,
    "a list of five": list,
    "six values": lambda given: (*given, None),
    "an array of two rewards": lambda given: (given[0], np.zeros(2), *given[2:]),
    "a fraction": lambda given: (given[0], fractions.Fraction(1, 3), *given[2:]),
    "a complex reward": lambda given: (given[0], 1j, *given[2:]),
    "an end of none": lambda given: (*given[:2], None, None, given[4]),
    "an end of NaN": lambda given: (*given[:2], float("nan"), *given[3:]),
    "info of a list": lambda given: (*given[:4], [1]),
    "NaN reward": lambda given: (given[0], float("nan"), *given[2:]),
    "infinite reward": lambda given: (given[0], float("inf"), *given[2:]),
    "reward of text": lambda given: (given[0], "one", *given[2:]),
    "no reward": lambda given: (given[0], None, *given[2:]),
    "huge reward": lambda given: (given[0], 1e300, *given[2:]),
    "an end of text": lambda given: (*given[:2], "no", *given[3:]),
    "no info": lambda given: (*given[:4], None),
    "nothing": lambda _: None,
}
