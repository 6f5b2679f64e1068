"""Makes sure that no environment can hide how a run ended."""

from __future__ import annotations

import atexit
import faulthandler
import fcntl
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from policyd_trainer.guardian.board import BOARD

_FIRST = 64  # the smallest descriptor for the protocol: code that closes "all" descriptors seldom gets there


def trace_crashes() -> None:
    """Writes a traceback to standard error if the process crashes.

    The environment's C code may crash it, for example.
    """
    with suppress(OSError, ValueError):  # there may be no standard error
        faulthandler.enable(file=2)


def own_stdout() -> IO[str]:
    """Returns a stream to standard output, which only the caller has from now on.

    For all other code, standard output is then standard error. So the output of an environment or
    of its child processes does not get among the events.
    """
    stream = sys.stdout
    if stream is not sys.__stdout__:  # a stream of the caller, for example of a test
        return cast("IO[str]", stream)
    assert stream is not None, "a process with this command has one"
    stream.flush()
    descriptor = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    os.dup2(2, 1)
    return os.fdopen(descriptor, "w", buffering=1)


def guardians_stdout() -> IO[str] | None:
    """Opens the guardian's standard output, for use after an environment closed `own_stdout`.

    None if there is no guardian.
    """
    if not BOARD.is_shared:
        return None
    return Path(f"/proc/{os.getppid()}/fd/1").open("w", buffering=1)


def own_stream(number: int, current: Any) -> IO[str]:
    """A stream to descriptor `number`, which stays open even if `current` is closed.

    `current` is sys.stdout or sys.stderr. If that is not the interpreter's own stream, it is
    returned itself; if it is None, a buffer is.
    """
    if current is None or current not in (sys.__stdout__, sys.__stderr__):
        return current if current is not None else io.StringIO()
    return os.fdopen(os.dup(number), "w", buffering=1)


def leave(code: int) -> None:
    """Ends the process with `code`, which is not 0 unless a result was reported.

    Exit handlers are run, but threads that never stop are not waited for. The
    guardian ends the process if that takes too long. Without a guardian, the process ends as usual.
    """
    BOARD.report(code)
    if BOARD.is_shared:
        atexit._run_exitfuncs()  # noqa: SLF001  there is no public name for it
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)
