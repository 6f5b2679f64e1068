"""Odd environments' spaces and seeds, and what they do in reset, render and close, by habit."""

from __future__ import annotations

import decimal
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from .endings import Bare

Odd = Any  # the environment


class Stubborn:
    """Looks like a number, but cannot be converted to one."""

    def __float__(self) -> float:
        raise Bare

    __int__ = __index__ = __bool__ = __float__


def _seen_as(space: spaces.Space[Any]) -> Callable[[Odd], None]:
    def change(environment: Odd) -> None:
        environment.observation_space = space
        environment.sampled = True

    return change


def _acts_in(space: spaces.Space[Any]) -> Callable[[Odd], None]:
    return lambda environment: setattr(environment, "action_space", space)


def _nested(depth: int) -> spaces.Space[Any]:
    space: spaces.Space[Any] = spaces.Box(0, 1, (1,), np.float32)
    for _ in range(depth):
        space = spaces.Dict({"in": space})
    return space


def _exit(*_: Any) -> Any:
    sys.exit(0)


def _bare(*_: Any) -> Any:
    raise Bare


def _stop(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSTOP)


def _sleep(*_: Any) -> Any:
    time.sleep(600)


def _small_seed(seed: int | None) -> None:
    assert seed is None or 0 <= seed < 2**16, f"seed {seed} is too large"


SPACES: dict[str, Callable[[Odd], None]] = {
    "float16": _seen_as(spaces.Box(-1, 1, (3,), np.float16)),
    "longdouble": _seen_as(spaces.Box(-1, 1, (3,), np.longdouble)),
    "int64 bounds": _seen_as(spaces.Box(-(2**63), 2**63 - 1, (3,), np.int64)),
    "uint64": _seen_as(spaces.Box(0, 2**63, (3,), np.uint64)),
    "no dimension": _seen_as(spaces.Box(-1, 1, (), np.float32)),
    "no element": _seen_as(spaces.Box(-1, 1, (0,), np.float32)),
    "seven dimensions": _seen_as(spaces.Box(-1, 1, (1, 1, 1, 1, 1, 1, 2), np.float32)),
    "Discrete from -1": _seen_as(spaces.Discrete(2, start=-1)),
    "a million kinds": _seen_as(spaces.Discrete(10**6)),
    "MultiBinary [2, 3]": _seen_as(spaces.MultiBinary([2, 3])),
    "MultiDiscrete from -2": _seen_as(spaces.MultiDiscrete([3, 4], start=[-2, 5])),
    "Text": _seen_as(spaces.Text(5)),
    "Sequence": _seen_as(spaces.Sequence(spaces.Discrete(2))),
    "empty Dict": _seen_as(spaces.Dict({})),
    "nested Dict": _seen_as(_nested(40)),
    "Dict of odd names": _seen_as(spaces.Dict({"a.b/c": spaces.Discrete(2), "é\n": spaces.Discrete(3)})),
    "acts by Discrete(1)": _acts_in(spaces.Discrete(1)),
    "acts by Discrete from -3": _acts_in(spaces.Discrete(3, start=-3)),
    "acts by Box int": _acts_in(spaces.Box(0, 5, (2,), np.int64)),
    "acts by Box float64": _acts_in(spaces.Box(-1, 1, (2,), np.float64)),
    "acts without bounds": _acts_in(spaces.Box(-np.inf, np.inf, (1,), np.float32)),
    "acts by a point": _acts_in(spaces.Box(1, 1, (1,), np.float32)),
    "acts by nothing": _acts_in(spaces.Box(-1, 1, (0,), np.float32)),
    "acts by Text": _acts_in(spaces.Text(3)),
    "metadata of None": lambda environment: setattr(type(environment), "metadata", None),
    "spec of text": lambda environment: setattr(type(environment), "spec", "Odd-v0"),
    "np_random of None": lambda environment: setattr(type(environment), "np_random", None),
    "a space that raises": lambda environment: setattr(type(environment), "action_space", property(_bare)),
    "no space": lambda environment: delattr(environment, "observation_space"),
    "space of None": lambda environment: setattr(environment, "observation_space", None),
    "space of a function": lambda environment: setattr(environment, "action_space", lambda: None),
}
AT_RESET: dict[str, Callable[..., Any]] = {
    "small seeds": _small_seed,
    "seeds numpy": np.random.seed,
    "exits in reset": _exit,
    "bare in reset": _bare,
    "stops in reset": _stop,
}
AT_RENDER: dict[str, Callable[..., Any]] = {
    "exits in render": _exit,
    "bare in render": _bare,
    "stops in render": _stop,
    "sleeps in render": _sleep,
    "renders nothing": lambda: None,
    "renders text": lambda: "picture",
    "renders other sizes": lambda: np.zeros((np.random.randint(1, 99), 32, 3), np.uint8),
    "renders float": lambda: np.full((32, 32, 3), np.nan),
    "renders much": lambda: np.zeros((20000, 20000, 3), np.uint8),
}
AT_CLOSE: dict[str, Callable[..., Any]] = {
    "exits in close": _exit,
    "bare in close": _bare,
    "stops in close": _stop,
    "sleeps in close": _sleep,
}
ODD_ANSWERS: dict[str, Callable[[Any], Any]] = {
    "decimal reward": lambda given: (given[0], decimal.Decimal("0.1"), *given[2:]),
    "bool reward": lambda given: (given[0], np.True_, *given[2:]),
    "half reward": lambda given: (given[0], np.float16(given[1]), *given[2:]),
    "reward [1]": lambda given: (given[0], np.array([given[1]]), *given[2:]),
    "stubborn reward": lambda given: (given[0], Stubborn(), *given[2:]),
    "stubborn end": lambda given: (*given[:2], Stubborn(), *given[3:]),
    "an end of [True]": lambda given: (*given[:2], np.array([given[2]]), *given[3:]),
    "an end of 2": lambda given: (*given[:2], 2 * given[2], *given[3:]),
    "info of numbers": lambda given: (*given[:4], {1: 2, None: 3, "episode": 5, "final_info": [1]}),
    "much info": lambda given: (*given[:4], {"all": bytearray(10**7)}),
}
