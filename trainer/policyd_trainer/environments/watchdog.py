"""Ends a call into an environment that does not come back.

Python cannot time a call out from within. A thread measures the running call, without the time in
which the machine was too busy to run it or the whole process was paused. When the call is overdue,
the thread sends the main thread a signal, whose handler raises there: out of loops, sleeps and
waits. Code in C that never comes back to Python runs no handler; after as long again the process
ends. Where such code holds Python's lock too, or where a signal has stopped the whole process, this
thread cannot run. So it counts on the board, and the process's owner ends it when the count stays
the same (`guardian.pulse`).

A finalizer (`__del__`) of an environment runs outside of any call, whenever the environment is
freed. The thread looks for one on the main thread's stack. The same signal ends it; Python ignores
what a finalizer raises, so the run goes on.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from time import monotonic
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

from policyd_trainer.environments.calls import RUNNING, Overdue
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.guardian.starvation import OwnTime

SIGNAL = signal.SIGUSR1
_LONGEST_PAUSE = 1.0  # seconds between two checks
logger = logging.getLogger(__name__)


class Watchdog:
    """While the main thread is inside, a call of more than `seconds` raises EnvironmentHangs.

    Args:
        seconds: how long one `reset` or `step` may take; the constructor and the first reset may
            take longer.
        env_id: names the environment in the error.
        last_words: called with the reason before the process ends, if the signal did not help.
    """

    def __init__(
        self, seconds: float, env_id: str, last_words: Callable[[str], object] = logger.critical
    ) -> None:
        self._seconds, self._last_words = seconds, last_words
        self._pause = min(seconds / 4, _LONGEST_PAUSE)
        self._reason = (
            f"{env_id} did not answer within {seconds:g} s; where that is no fault, raise step_timeout"
        )
        self._over = threading.Event()
        self._time = OwnTime(os.getpid(), 1.5 * self._pause)
        self._spent = _Spent()
        self._freeing = _Freeing()
        self._thread = threading.Thread(target=self._watch, name="environment-watchdog", daemon=True)

    def __enter__(self) -> None:
        self._before = signal.signal(SIGNAL, self._interrupt)
        self._thread.start()
        BOARD.watch(self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        BOARD.watch(0)
        self._over.set()
        self._thread.join()
        signal.signal(SIGNAL, self._before)

    def _watch(self) -> None:
        while not self._over.wait(self._pause):
            BOARD.count()
            began, passed = RUNNING.began, self._time.look()
            self._spent.add(began, passed)
            if self._overdue(began):
                self._signal()
                if self._goes_on(began):
                    self._end()
            elif began is None:
                self._watch_freeing(passed)

    def _goes_on(self, began: float | None) -> bool:
        """Whether the call is still running after as long again as a step may take."""
        spent = 0.0
        while RUNNING.began == began and not self._over.wait(self._pause):
            spent += self._time.look()
            if spent >= self._seconds:
                return RUNNING.began == began
        return False

    def _watch_freeing(self, passed: float) -> None:
        """Interrupts a finalizer that takes too long. If that does not help, ends the process."""
        seconds = self._freeing.look(passed)
        if seconds < self._seconds and not self._freeing.hung_before:
            return
        if seconds > 2 * self._seconds:
            self._end()
        if seconds:
            self._signal()

    def _signal(self) -> None:
        main = threading.main_thread().ident
        assert main is not None, "it is running"
        signal.pthread_kill(main, SIGNAL)

    def _overdue(self, began: float | None) -> bool:
        return began is not None and self._spent.of(began) >= self._seconds * RUNNING.patience

    def _interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  signal's signature
        if self._overdue(RUNNING.began):  # the call may just have returned
            raise Overdue(self._reason)
        if self._freeing.is_below(frame):
            self._freeing.remember()
            logger.warning("freeing an environment did not end within %g s, the run goes on", self._seconds)
            raise Overdue(self._reason)

    def _end(self) -> None:
        faulthandler.dump_traceback()  # to stderr: where the environment is stuck
        self._last_words(self._reason)
        BOARD.report(1)
        os._exit(1)


class _Spent:
    """How long the running call has taken, in the time of the main thread."""

    def __init__(self) -> None:
        self._began: float | None = None  # of the call that was running at the last look
        self._seconds = 0.0

    def add(self, began: float | None, passed: float) -> None:
        """Adds the time since the last look. `began` identifies the running call."""
        if began == self._began:
            self._seconds += passed
        elif began is not None:
            self._seconds = min(passed, monotonic() - began)
        self._began = began

    def of(self, began: float) -> float:
        """The seconds of the call that began then."""
        return self._seconds if began == self._began else 0.0


class _Freeing:
    """The finalizer that the main thread is running, and since when.

    It keeps no frame: a frame keeps its callers' objects alive, and this thread would then free
    them.
    """

    def __init__(self) -> None:
        self._running: _Finalizer | None = None
        self._seconds = 0.0
        self._hung: set[CodeType] = set()

    def look(self, passed: float) -> float:
        """For how many seconds the same finalizer has been running; 0: none is, or a new one.

        `passed` are the seconds since the last look.
        """
        running = _finalizer(sys._current_frames().get(threading.main_thread().ident or 0))  # noqa: SLF001
        if running is None or running != self._running:
            self._running, self._seconds = running, 0.0
        else:
            self._seconds += passed
        return self._seconds

    @property
    def hung_before(self) -> bool:
        """Whether the same code already hung for another environment. Then no wait is needed."""
        return self._running is not None and self._running.code in self._hung

    def is_below(self, frame: FrameType | None) -> bool:
        """Whether `frame` was called by the finalizer."""
        return self._running is not None and _finalizer(frame) == self._running

    def remember(self) -> None:
        """Remembers that this finalizer's code hangs."""
        if self._running is not None:
            self._hung.add(self._running.code)


class _Finalizer(NamedTuple):
    """Identifies a running finalizer: its code, and the ids of its frame and its object."""

    code: CodeType
    frame: int
    freed: int


_FINALIZE = weakref.finalize.__call__.__code__


def _finalizer(frame: FrameType | None) -> _Finalizer | None:
    """The outermost finalizer on a stack."""
    found = None
    for caller in _stack(frame):
        code = caller.f_code
        if code.co_name == "__del__" or code is _FINALIZE:
            freed = caller.f_locals.get(code.co_varnames[0]) if code.co_varnames else None
            found = _Finalizer(code, id(caller), id(freed))
    return found


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and its callers, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back
