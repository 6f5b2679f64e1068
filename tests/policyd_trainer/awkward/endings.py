"""Environments that end the process, or keep it from ending."""

from __future__ import annotations

import ctypes
import os
import sys
import time
import weakref
from typing import Any

from .naming import Naming, Result


def _c_exit() -> None:
    ctypes.CDLL(None).exit(0)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _odd_text() -> None:
    raise ValueError("\udcff" + "x" * 10**6)


ENDS: dict[str, Any] = {
    "sys.exit": sys.exit,
    "interrupt": _interrupt,
    "odd text": _odd_text,
    "os._exit": lambda: os._exit(0),
    "exit in C": _c_exit,
    "segfault": lambda: ctypes.string_at(0),
}


class Ends(Naming):
    """Ends the process in one way, in one call."""

    def __init__(self, way: str, call: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way, self._call = way, call
        self._end_in("constructor")

    def _end_in(self, call: str) -> None:
        if call == self._call:
            ENDS[self._way]()

    def reset(self, **options: Any) -> Result:
        """Resets, or ends the process."""
        self._end_in("reset")
        return super().reset(**options)

    def step(self, action: Any) -> Result:
        """Steps, or ends the process."""
        if self.t == 5:
            self._end_in("step")
        return super().step(action)

    def render(self) -> Any:
        """Renders, or ends the process."""
        self._end_in("render")
        return super().render()

    def close(self) -> None:
        """Does nothing, or ends the process."""
        self._end_in("close")


class CloseFails(Naming):
    """`close` raises, hangs or exits."""

    def __init__(self, way: str = "raise", render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way = way

    def close(self) -> None:
        """Raises, hangs or exits, as set."""
        if self._way == "hang":
            time.sleep(1000)
        elif self._way == "exit":
            sys.exit(0)
        raise RuntimeError("the display is gone")


class FreedForEver(Naming):
    """Has a finalizer that does not end: `__del__`, or one of weakref."""

    def __init__(self, way: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way = way
        if way == "finalize":
            weakref.finalize(self, time.sleep, 1000)

    def __del__(self) -> None:
        while self._way == "spin":
            pass
