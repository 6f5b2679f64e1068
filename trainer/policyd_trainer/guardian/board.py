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

# A guardian puts the descriptor of the shared memory into this variable for the process it starts.
VARIABLE = "POLICYD_BOARD"

# The calls into an environment. The board holds the index of the running one; 0: none.
CALLS = (
    *("", "import", "constructor", "spaces", "first reset", "reset"),
    *("step", "action_masks", "render", "close", "pickle"),
)

_CALL, _STAGE, _CODE, _JSON, _COUNT = range(5)  # positions of the bytes
_LIMIT = 8  # the limit in seconds, eight bytes
_AFTER = 16  # start of the command that is to run afterwards
IDLE, RUNNING, REPORTED = range(3)  # stages of a run


class Board:
    """The shared bytes. Without a guardian they are memory of this process alone."""

    def __init__(self) -> None:
        self.attach(-1)

    def attach(self, descriptor: int) -> None:
        """Uses shared memory from now on; -1: private memory."""
        self.is_shared = descriptor >= 0
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)
        self.bytes = memoryview(self._memory)  # bytes[0] is written before and after each call

    def write_to(self, memory: memoryview) -> None:
        """From now on writes into memory that this process's owner can read."""
        self.bytes = memory.cast("B")

    @property
    def call(self) -> str:
        """The call into the environment that is running; empty if none is."""
        return call_in(self.bytes)

    def begin(self, *, as_json: bool) -> None:
        """Notes that the run begins. `as_json`: whether it writes JSON to standard output."""
        self.bytes[_STAGE], self.bytes[_JSON] = RUNNING, as_json

    def watch(self, seconds: float) -> None:
        """Announces that this process counts from now on, for as long as it runs.

        `seconds` is how long a call into the environment may take; 0 means that counting has ended.
        """
        struct.pack_into("d", self.bytes, _LIMIT, seconds)

    def count(self) -> None:
        """Counts up by one, which shows that the process runs."""
        self.bytes[_COUNT] = (self.bytes[_COUNT] + 1) % 256

    def report(self, code: int) -> None:
        """Notes that the result or failure was reported and the process will end with `code`."""
        self.bytes[_CODE] = code
        self.bytes[_STAGE] = REPORTED

    @property
    def stage(self) -> int:
        """IDLE, RUNNING or REPORTED."""
        return self.bytes[_STAGE]

    @property
    def code(self) -> int:
        """The exit code that `report` announced."""
        return self.bytes[_CODE]

    def run_after(self, command: list[str]) -> None:
        """Makes the guardian start `command` after this process and its descendants ended."""
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
        """Whether the run writes JSON to standard output."""
        return bool(self.bytes[_JSON])


BOARD = Board()  # one for each process


def call_in(board: memoryview | Array[c_ubyte]) -> str:
    """The call into the environment that is running according to a board; empty if none is."""
    return CALLS[board[_CALL]]


def counted(board: memoryview | Array[c_ubyte]) -> int:
    """The count of a board's process. It changes as long as the process runs."""
    return board[_COUNT]


def limit_of(board: memoryview | Array[c_ubyte]) -> float:
    """The seconds that a call may take according to a board; 0 if nobody counts."""
    seconds: float = struct.unpack_from("d", board, _LIMIT)[0]
    return seconds


def board_of_a_child(context: BaseContext) -> Array[c_ubyte]:
    """Memory that a child of `multiprocessing` gets as an argument, and this process can read.

    The child calls `BOARD.write_to(memoryview(array))`; this process reads it with `call_in`.
    """
    return context.RawArray(c_ubyte, mmap.PAGESIZE)


def shared_memory() -> int:
    """Creates shared memory and returns its descriptor."""
    descriptor = os.memfd_create("policyd-board")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor


def attach_inherited() -> bool:
    """Uses the board of the guardian that started this process. Returns False if none did."""
    given = os.environ.pop(VARIABLE, "")  # removed, so that processes of the environment do not see it
    if not given:
        return False
    BOARD.attach(int(given))
    os.close(int(given))
    return True
