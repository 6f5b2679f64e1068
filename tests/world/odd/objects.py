"""Odd environments as Python objects: their methods, copies, masks and the numbers they give."""

from __future__ import annotations

import datetime
import os
import threading
from collections import UserDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from .endings import Bare

Odd = Any  # the environment


class Reward(float):
    """A float with which nobody can calculate."""

    def __add__(self, other: object) -> Any:
        raise Bare

    __radd__ = __mul__ = __rmul__ = __lt__ = __gt__ = __add__


class Array(np.ndarray):
    """An array that cannot be converted."""

    def __array_finalize__(self, _: Any) -> None:
        raise Bare


Pair = namedtuple("Pair", "first second")


def _bare(*_: Any, **__: Any) -> Any:
    raise Bare


def _exit(*_: Any, **__: Any) -> Any:
    os._exit(0)


def _on_class(**methods: Any) -> Callable[[Odd], None]:
    def change(environment: Odd) -> None:
        for name, method in methods.items():
            setattr(type(environment), name, method)

    return change


def _reset_without_seed(environment: Odd) -> None:
    usual = environment.reset

    def reset() -> Any:
        return usual()

    environment.reset = reset


def _step_of_two(environment: Odd) -> None:
    usual = environment.step
    environment.step = lambda action, how: (usual(action), how)


def _masked(mask: Any) -> Callable[[Odd], None]:
    return lambda environment: setattr(environment, "action_masks", lambda: mask)


def _another_space(environment: Odd) -> None:
    """Each look at the space shows a larger one."""
    sizes = iter(range(3, 10**6))
    type(environment).observation_space = property(
        lambda _: spaces.Box(-1.0, 2.0, (next(sizes),), np.float32), lambda *_: None
    )


def _later_shape(given: Any) -> Any:
    LOOKS.append(1)
    return given if len(LOOKS) < 150 else (given[0][:2], *given[1:])


def _later_type(given: Any) -> Any:
    LOOKS.append(1)
    return given if len(LOOKS) < 150 else ([str(value) for value in given[0]], *given[1:])


LOOKS: list[int] = []  # one for each step in this process
OBJECTS: dict[str, Callable[[Odd], Any]] = {
    "a lock inside": lambda environment: setattr(environment, "lock", threading.Lock()),
    "bare when pickled": _on_class(__reduce_ex__=_bare),
    "os._exit when pickled": _on_class(__reduce_ex__=_exit),
    "os._exit when unpickled": _on_class(__setstate__=_exit),
    "os._exit when copied": _on_class(__deepcopy__=_exit),
    "bare when copied": _on_class(__deepcopy__=_bare),
    "is false": _on_class(__bool__=lambda _: False, __len__=lambda _: 0),
    "equals nothing": _on_class(__eq__=_bare, __hash__=None),
    "no text of its own": _on_class(__repr__=_bare, __str__=_bare),
    "unwrapped is None": _on_class(unwrapped=None),
    "np_random is read-only": _on_class(np_random=property(lambda _: np.random.default_rng(0))),
    "reset without seed": _reset_without_seed,
    "step of two": _step_of_two,
    "another space": _another_space,
    "masks nothing": _masked([False] * 3),
    "mask too short": _masked([True]),
    "mask of text": _masked("yes"),
    "mask of NaN": _masked([np.nan] * 3),
    "mask of None": _masked(None),
    "mask that raises": lambda environment: setattr(environment, "action_masks", _bare),
    "os._exit in a mask": lambda environment: setattr(environment, "action_masks", _exit),
    "os._exit in the constructor": _exit,
}
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "overflows float32": lambda given: (given[0].astype(np.float64) * 1e308, *given[1:]),
    "a reward of 10^400": lambda given: (given[0], 10**400, *given[2:]),
    "a broken float": lambda given: (given[0], Reward(given[1]), *given[2:]),
    "a date": lambda given: (given[0], datetime.timedelta(1), *given[2:]),
    "datetime64": lambda given: (given[0].astype("datetime64[s]"), *given[1:]),
    "a broken array": lambda given: (np.ndarray.__new__(Array, 3), *given[1:]),
    "a pair": lambda given: Pair(given[0], given[1]),
    "a UserDict": lambda given: (*given[:4], UserDict(one=1)),
    "numpy's True": lambda given: (*given[:2], np.bool_(given[2]), np.bool_(given[3]), given[4]),
    "never ends": lambda given: (*given[:2], False, False, given[4]),
    "ends at once": lambda given: (*given[:2], True, False, given[4]),
    "ends twice": lambda given: (*given[:2], given[2], given[2], given[4]),
    "another shape later": _later_shape,
    "another type later": _later_type,
}
AT_THE_START: dict[str, Callable[..., Any]] = {"os._exit in reset": _exit}
AT_THE_END: dict[str, Callable[..., Any]] = {"os._exit in close": _exit}
PICTURES: dict[str, Callable[..., Any]] = {"os._exit in render": _exit}
