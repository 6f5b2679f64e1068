"""Code around each call into an environment: what is running, since when, and how it may end.

Somebody else's code may do anything: call sys.exit, raise KeyboardInterrupt, crash. So each call is
written down before it begins (see `guardian.board`), and an exception that would end the process
becomes an error that names the call.
"""

from __future__ import annotations

import os
import signal
from time import monotonic  # not `time.monotonic`, which an environment may replace
from types import TracebackType

from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentHangs
from policyd_trainer.guardian.board import BOARD, CALLS

STARTING = 10.0  # times `step_timeout`: a constructor or a first reset may start a simulator


class Overdue(BaseException):
    """The running call took too long.

    It is a BaseException, because environments may catch every Exception.
    """


class _Running:
    """The call that is running in this process.

    Environments are stepped in its main thread only.
    """

    began: float | None = None  # monotonic(); None: no call is running
    patience: float = 1.0  # how many times `step_timeout` the call may take
    is_copy: bool = False  # whether this process was forked inside the call


RUNNING = _Running()


def _after_fork() -> None:
    RUNNING.is_copy = RUNNING.began is not None


os.register_at_fork(after_in_child=_after_fork)


class Call:
    """A context manager around each call into an environment, as `with STEP:`.

    Raises:
        EnvironmentHangs: the call took longer than the process's watchdog allows.
        EnvironmentFailed: the environment tried to end the process.
    """

    def __init__(self, name: str, patience: float = 1.0) -> None:
        """`name` is one of CALLS. The call may take `patience` times the setting `step_timeout`."""
        self.name = name
        self._number, self._patience = CALLS.index(name), patience

    def __enter__(self) -> None:
        BOARD.bytes[0] = self._number
        RUNNING.patience = self._patience
        RUNNING.began = monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if RUNNING.is_copy:  # the environment has forked, and both processes returned
            os._exit(0)
        RUNNING.began = None
        BOARD.bytes[0] = 0
        if error is None or isinstance(error, Exception):
            return
        if isinstance(error, Overdue):
            raise EnvironmentHangs(f"{self.name}: {error}") from None
        if isinstance(error, KeyboardInterrupt) and _is_of_a_person():
            return
        raise EnvironmentFailed(f"{self.name}: {_words(error)}") from error


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the environment called sys.exit({error.code!r}); raise an error instead"
    name = type(error).__name__
    return f"the environment raised {name}, which would end the process; raise an error instead"


def _is_of_a_person() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt here. A run has a signal handler of its own."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


IMPORT = Call("import", float("inf"))  # importing may take minutes; only the job's time limit ends it
CONSTRUCTOR = Call("constructor", STARTING)
SPACES = Call("spaces")
FIRST_RESET = Call("first reset", STARTING)
RESET = Call("reset")
STEP = Call("step")
ACTION_MASKS = Call("action_masks")
RENDER = Call("render")
CLOSE = Call("close")
PICKLE = Call("pickle")
