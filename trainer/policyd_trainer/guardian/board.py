"""Memory that a training process shares with its guardian: a few bytes that survive the process.

A process that is killed cannot say what it was doing. So it writes that down before each call into
the environment, at the cost of one byte.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from ctypes import Array, c_ubyte
from multiprocessing.context import BaseContext

# In the environment of a process that was started by a guardian: the descriptor of the shared
# memory.
VARIABLE = "POLICYD_BOARD"

# The calls into an environment. A call is written down as its index; 0: none is running.
CALLS = (
    *("", "import", "constructor", "spaces", "first reset", "reset"),
    *("step", "action_masks", "render", "close", "pickle"),
)

_CALL, _STAGE, _CODE, _JSON, _COUNT = range(5)  # positions of the bytes
_LIMIT = 8  # of a number with eight bytes: seconds
_AFTER = 16  # where the command begins that is to run afterwards
IDLE, RUNNING, REPORTED = range(3)  # stages of a run


class Board:
    """The shared bytes. Without a guardian they are memory of this process alone."""

    def __init__(self) -> None:
        self.attach(-1)

    def attach(self, descriptor: int) -> None:
        """Uses shared memory from now on; -1: private memory."""
        self.is_shared = descriptor >= 0
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)
        self.bytes = memoryview(self._memory)  # bytes[0] is written around each call

    def write_to(self, memory: memoryview) -> None:
        """Writes into memory that a process's owner can read, from now on."""
        self.bytes = memory.cast("B")

    @property
    def call(self) -> str:
        """The call into the environment that is running; empty: none."""
        return call_in(self.bytes)

    def begin(self, *, as_json: bool) -> None:
        """The run begins; `as_json`: it tells machines about itself on standard output."""
        self.bytes[_STAGE], self.bytes[_JSON] = RUNNING, as_json

    def watch(self, seconds: float) -> None:
        """From now on somebody counts in this process, as long as it runs; 0: no more.

        `seconds`: how long a call into the environment may take.
        """
        struct.pack_into("d", self.bytes, _LIMIT, seconds)

    def count(self) -> None:
        """Shows that the process runs."""
        self.bytes[_COUNT] = (self.bytes[_COUNT] + 1) % 256

    def report(self, code: int) -> None:
        """The result or the failure is told, and the process will end with `code`."""
        self.bytes[_CODE] = code
        self.bytes[_STAGE] = REPORTED

    @property
    def stage(self) -> int:
        """IDLE, RUNNING or REPORTED."""
        return self.bytes[_STAGE]

    @property
    def code(self) -> int:
        """The exit code that was announced by `report`."""
        return self.bytes[_CODE]

    def run_after(self, command: list[str]) -> None:
        """Has the guardian start `command` when this process and all below it have ended."""
        text = json.dumps(command).encode()
        if len(text) + _AFTER < len(self.bytes):
            self.bytes[_AFTER : _AFTER + len(text)] = text

    @property
    def after(self) -> list[str]:
        """The command to start afterwards; empty: none."""
        text = bytes(self.bytes[_AFTER:]).rstrip(b"\0")
        command: list[str] = json.loads(text) if text else []
        return command

    @property
    def as_json(self) -> bool:
        """Whether the run tells machines about itself on standard output."""
        return bool(self.bytes[_JSON])


BOARD = Board()  # a process has one


def call_in(board: memoryview | Array[c_ubyte]) -> str:
    """Returns the call into the environment that a board says is running; empty: none."""
    return CALLS[board[_CALL]]


def counted(board: memoryview | Array[c_ubyte]) -> int:
    """Returns the count of a board's process: another number, as long as it runs."""
    return board[_COUNT]


def limit_of(board: memoryview | Array[c_ubyte]) -> float:
    """Returns the seconds that a call may take; 0: nobody counts."""
    seconds: float = struct.unpack_from("d", board, _LIMIT)[0]
    return seconds


def board_of_a_child(context: BaseContext) -> Array[c_ubyte]:
    """Returns memory for a child of `multiprocessing`, to be passed to it as an argument.

    The child calls `BOARD.write_to(memoryview(array))`; this process reads it with `call_in`.
    """
    return context.RawArray(c_ubyte, mmap.PAGESIZE)


def shared_memory() -> int:
    """A descriptor of new shared memory."""
    descriptor = os.memfd_create("policyd-board")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor


def attach_inherited() -> bool:
    """Uses the board of the guardian that started this process. False: no guardian did."""
    given = os.environ.pop(VARIABLE, "")  # the environment's own processes are not told
    if not given:
        return False
    BOARD.attach(int(given))
    os.close(int(given))
    return True
