"""Checks a request's environment in a process with limits of time and memory.

Making an environment runs its code with the caller's arguments: a few bytes of them can ask for
gigabytes or minutes. The service itself stays small and answers meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from policyd.errors import InvalidArgument, PolicydError, Unavailable
from policyd.runtime.running_time import timeout
from policyd_trainer.config import TrainingConfig
from policyd_trainer.guardian import forking
from policyd_trainer.guardian.joining import join
from policyd_trainer.guardian.watch import how
from policyd_trainer.runs.fitting import fitted

SECONDS = 20.0  # seconds that a check may take
MEMORY = 2**30  # bytes that a check may use
_FIELD = "spec.settings"
_AT_ONCE = 2  # checks side by side


class Checker:
    """Owns the processes that check environments. Is used in one event loop."""

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        # This server process imports what checks need, and forks for each check. It ends with this
        # process.
        self._context = forking.context(__name__)
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._running: set[BaseProcess] = set()
        self._closed = False

    async def prepare(self) -> None:
        """Starts the server of the checks, so that the first one need not wait for its imports."""
        await asyncio.to_thread(forking.ensure_running)

    async def check(self, config: TrainingConfig, settings: Mapping[str, str]) -> None:
        """Makes the environment of `config` and inspects it.

        Raises:
            PolicydError: the same errors as `fitted`.
            InvalidArgument: the check takes too long or too much memory, or ends its process.
            Unavailable: the trainer is shutting down.
        """
        async with self._turn:
            if self._closed:
                raise _stopping()
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(
                target=_check, args=(theirs, config, dict(settings), self._memory), daemon=True
            )
            self._running.add(process)
            try:
                await asyncio.to_thread(process.start)
                theirs.close()
                error = await self._answer(process, ours)
            finally:
                ours.close()
                await asyncio.to_thread(_end, process)
                self._running.discard(process)
        if error is not None:
            raise error

    def close(self) -> None:
        """Ends every check. Its callers get Unavailable."""
        self._closed = True
        for process in self._running:
            _kill(process)

    async def _answer(self, process: BaseProcess, pipe: Connection) -> PolicydError | None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(pipe.fileno(), readable.set)
        try:
            async with timeout(self._seconds):
                await readable.wait()
            error: PolicydError | None = pipe.recv()
        except TimeoutError:
            return _refused(f"took longer than {self._seconds:g} s")
        except EOFError:
            if self._closed:
                return _stopping()
            await asyncio.to_thread(join, process, 1)
            return _refused(f"crashed: the process {how(process.exitcode or 0)}")
        finally:
            loop.remove_reader(pipe.fileno())
        return error


def _check(pipe: Connection, config: TrainingConfig, settings: dict[str, str], memory: int) -> None:
    """Runs in the process that checks."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the trainer's group; the trainer decides
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send(_outcome(config, settings, memory))
    os._exit(0)  # skips what the environment registered to run at exit


def _outcome(config: TrainingConfig, settings: dict[str, str], memory: int) -> PolicydError | None:
    try:
        fitted(config, settings, look=True)
    except PolicydError as error:
        if isinstance(error.__cause__, MemoryError):
            return _too_large(memory)
        return error
    except MemoryError:
        return _too_large(memory)
    except BaseException as error:  # noqa: BLE001  the error is sent, and the process ends
        return _refused(f"failed with {type(error).__name__}: {error}")
    return None


def _too_large(memory: int) -> PolicydError:
    return _refused(f"took more than {memory // 2**20:,} MiB of memory")


def _refused(what: str) -> InvalidArgument:
    wanted = "arguments with which it is made and reset quickly, and fits into memory"
    return InvalidArgument.of(_FIELD, got=f"an environment that, being made and reset, {what}", wanted=wanted)


def _stopping() -> Unavailable:
    return Unavailable("the trainer is shutting down; ask again when it is back")


def _kill(process: BaseProcess) -> None:
    if process.pid is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # if it had no session of its own yet


def _end(process: BaseProcess) -> None:
    _kill(process)
    if process.pid is not None:
        join(process, 5)
