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

SECONDS = 60.0  # that one part may take
GOODBYE = 5.0  # seconds until a process that closed its pipe has ended


@dataclass(frozen=True)
class Part:
    """A picture and what people should know of it."""

    content: bytes = b""  # PNG or GIF; empty: there is none, and the note says why
    note: str = ""


def made(name: str, make: Callable[[Subject], Part], subject: Subject, seconds: float = SECONDS) -> Part:
    """Calls `make`, a function of a module, aside.

    A part without content says why it is missing.
    """
    # The server imports what the parts need once, and forks for each of them.
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
    os.dup2(2, 1)  # standard output says where the report is, and nothing else
    BOARD.write_to(memoryview(board))
    try:
        part = make(subject)
    except BaseException as error:  # noqa: BLE001  it is told, and the process ends
        part = Part(note=f"It is missing: {type(error).__name__}: {error}")
    pipe.send(part)
    os._exit(0)  # whatever the environment registered to run at exit


def _missing(name: str, why: str) -> Part:
    return Part(note=f"{name} is missing: {why}.")


def _end(process: BaseProcess) -> None:
    if process.pid is None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the session that it leads
    process.kill()
    process.join(GOODBYE)
