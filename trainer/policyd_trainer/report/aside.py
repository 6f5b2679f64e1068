"""Makes one part of a report in a process of its own.

What is only for looking runs an environment's code once more, and its `render`, which drivers and
missing displays break. A crash, an exit or a hang there costs this part of the report only.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from ctypes import Array, c_ubyte
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from policyd_trainer.guardian.board import BOARD, board_of_a_child, call_in
from policyd_trainer.guardian.watch import during, how
from policyd_trainer.report.subject import Subject

SECONDS = 60.0  # seconds that one part may take
GOODBYE = 5.0  # seconds in which a process that closed its pipe must end


@dataclass(frozen=True)
class Part:
    """A picture, and a note for people."""

    content: bytes = b""  # PNG or GIF; empty: the note says why
    note: str = ""


def made(name: str, make: Callable[[Subject], Part], subject: Subject, seconds: float = SECONDS) -> Part:
    """Calls `make`, a module's function, in a process of its own.

    If a part has no content, its note says why.
    """
    # The server imports what the parts need once, and forks for each part.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["policyd_trainer.report.build"])
    ours, theirs = context.Pipe(duplex=False)
    board = board_of_a_child(context)
    process = context.Process(target=_make, args=(theirs, board, make, subject), daemon=True)
    try:
        process.start()
        theirs.close()
        if not ours.poll(seconds):
            return _missing(name, f"it took longer than {seconds:g} s{during(call_in(board))}")
        part: Part = ours.recv()
    except (EOFError, OSError):
        process.join(GOODBYE)
        return _missing(name, f"its process {how(process.exitcode or 0)}{during(call_in(board))}")
    finally:
        ours.close()
        _end(process)
    return part if part.content else Part(note=part.note or _missing(name, "nothing was drawn").note)


def _make(pipe: Connection, board: Array[c_ubyte], make: Callable[[Subject], Part], subject: Subject) -> None:
    os.setsid()
    os.dup2(2, 1)  # standard output is for the report's address only
    BOARD.write_to(memoryview(board))
    try:
        part = make(subject)
    except BaseException as error:  # noqa: BLE001  the error is sent, and the process ends
        part = Part(note=f"It is missing: {type(error).__name__}: {error}")
    pipe.send(part)
    os._exit(0)  # skips what the environment registered to run at exit


def _missing(name: str, why: str) -> Part:
    return Part(note=f"{name} is missing: {why}.")


def _end(process: BaseProcess) -> None:
    if process.pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the process leads a session of its own
    process.kill()
    process.join(GOODBYE)
