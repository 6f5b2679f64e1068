"""Ends a call into an environment that does not come back.

Python cannot time a call out from within. A thread looks at the clock of the running call; when that is
overdue it sends the main thread a signal, whose handler raises there: out of loops, sleeps and waits.
Code in C that never comes back to Python runs no handler; after as long again the process ends. Where such
code holds Python's lock too, this thread cannot run: only a job's time limit ends that.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from trainer.environments.errors import EnvironmentHangs

SIGNAL = signal.SIGUSR1
logger = logging.getLogger(__name__)


class _Overdue(BaseException):
    """The running call took too long. Not an Exception: environments may catch all of those."""


class Call:
    """`with CALL:` stands around each call into an environment and costs some 0.2 us.

    Raises:
        EnvironmentHangs: the call took longer than the process's watchdog allows.
    """

    def __init__(self) -> None:
        self.began: float | None = None  # time.monotonic(); None: no call is running

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.began = None
        if isinstance(error, _Overdue):
            raise EnvironmentHangs(str(error)) from None


CALL = Call()  # one is enough: a process steps its environments in its main thread only


class Watchdog:
    """While entered, by the main thread, a call of more than `seconds` raises EnvironmentHangs.

    Args:
        seconds: that one `reset` or `step` may take.
        env_id: names the environment.
        last_words: called with the reason before the process ends, where the signal did not help.
    """

    def __init__(
        self, seconds: float, env_id: str, last_words: Callable[[str], object] = logger.critical
    ) -> None:
        self._seconds, self._last_words = seconds, last_words
        self._reason = (
            f"{env_id} did not answer within {seconds:g} s; where that is no fault, raise step_timeout"
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="environment-watchdog", daemon=True)

    def __enter__(self) -> None:
        self._before = signal.signal(SIGNAL, self._interrupt)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        signal.signal(SIGNAL, self._before)

    def _watch(self) -> None:
        while not self._over.wait(self._seconds / 4):
            began = CALL.began
            if not self._overdue(began):
                continue
            main = threading.main_thread().ident
            assert main is not None, "it is running"
            signal.pthread_kill(main, SIGNAL)
            if not self._over.wait(self._seconds) and CALL.began == began:
                self._end()

    def _overdue(self, began: float | None) -> bool:
        return began is not None and time.monotonic() - began >= self._seconds

    def _interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  signal's signature
        if self._overdue(CALL.began):  # the call may just have come back
            raise _Overdue(self._reason)

    def _end(self) -> None:
        faulthandler.dump_traceback()  # to stderr: where the environment is stuck
        self._last_words(self._reason)
        os._exit(1)
