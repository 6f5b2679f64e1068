"""Makes one part of a report in a process of its own.

What is only for looking runs an environment's code once more, and its `render`, which drivers and
missing displays break. A crash, an exit or a hang there costs this part of the report only.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import Array, c_ubyte
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pkgutil import resolve_name

from policyd.runtime.running_time import waits
from policyd_trainer.guardian import forking
from policyd_trainer.guardian.board import BOARD, board_of_a_child, call_in
from policyd_trainer.guardian.joining import join
from policyd_trainer.guardian.watch import during, how
from policyd_trainer.report.subject import Subject

SECONDS = 60.0  # seconds that is waited for one part
_PARTS = "policyd_trainer.report.parts"
GOODBYE = 5.0  # seconds in which a process that closed its pipe must end


@dataclass(frozen=True)
class Part:
    """A picture, and a note for people."""

    content: bytes = b""  # PNG or GIF; empty: the note says why
    note: str = ""


def prepare() -> None:
    """Starts the process that imports what the parts need, once, and forks for each of them.

    It imports while this process goes on. Without it, the first part starts it.
    """
    forking.context(_PARTS)
    forking.ensure_running()


class Making:
    """A part that is being made."""

    def __init__(self, name: str, make: str, subject: Subject, seconds: float) -> None:
        prepare()
        context = forking.context(_PARTS)
        self._name, self._seconds = name, seconds
        self._pipe, theirs = context.Pipe(duplex=False)
        self._board = board_of_a_child(context)
        self._process = context.Process(target=_make, args=(theirs, self._board, make, subject), daemon=True)
        self._process.start()
        theirs.close()

    def part(self) -> Part:
        """Waits for the part. If it has no content, its note says why."""
        try:
            if not any(self._pipe.poll(left) for left in waits(self._seconds)):
                return self._missing(f"it took longer than {self._seconds:g} s{during(call_in(self._board))}")
            part: Part = self._pipe.recv()
        except (EOFError, OSError):
            join(self._process, GOODBYE)
            code = self._process.exitcode or 0
            return self._missing(f"its process {how(code)}{during(call_in(self._board))}")
        return part if part.content else Part(note=part.note or self._missing("nothing was drawn").note)

    def end(self) -> None:
        """Ends its process and all that this has started."""
        self._pipe.close()
        _end(self._process)

    def _missing(self, why: str) -> Part:
        return Part(note=f"{self._name} is missing: {why}.")


@contextmanager
def beginning(name: str, make: str, subject: Subject, seconds: float = SECONDS) -> Iterator[Making]:
    """Has `make` called aside while the block runs; with the block it ends.

    `make`: the name of a function, "module:function". Only the process that calls it imports it.
    """
    making = Making(name, make, subject, seconds)
    try:
        yield making
    finally:
        making.end()


def made(name: str, make: str, subject: Subject, seconds: float = SECONDS) -> Part:
    """What `make` returns when it is called aside."""
    with beginning(name, make, subject, seconds) as making:
        return making.part()


def _make(pipe: Connection, board: Array[c_ubyte], make: str, subject: Subject) -> None:
    os.setsid()
    os.dup2(2, 1)  # standard output is for the report's address only
    BOARD.write_to(memoryview(board))
    try:
        part: Part = resolve_name(make)(subject)
    except BaseException as error:  # noqa: BLE001  the error is sent, and the process ends
        part = Part(note=f"It is missing: {type(error).__name__}: {error}")
    pipe.send(part)
    os._exit(0)  # skips what the environment registered to run at exit


def _end(process: BaseProcess) -> None:
    if process.pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the process leads a session of its own
    process.kill()
    join(process, GOODBYE)
