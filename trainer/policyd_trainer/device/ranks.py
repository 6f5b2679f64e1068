"""Data-parallel learning: several processes share the environments and sum one flat gradient.

The process of the run has rank 0 and starts the others. They do what it says over a pipe, and end
with it. Each sum over all processes is one call of torch.distributed: NCCL between GPUs, gloo
between CPUs.
"""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
import weakref
from collections.abc import Callable
from ctypes import Array, c_ubyte
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from policyd.errors import InvalidArgument, PolicydError
from policyd.runtime.running_time import waits
from policyd.temporary import TemporaryFolder
from policyd_trainer.algorithms.build import Weights
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.config import TrainingConfig
from policyd_trainer.device.group import Group
from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.tasks import task_of
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentHangs
from policyd_trainer.environments.make import EnvironmentInfo, inspect
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.guardian.board import BOARD, board_of_a_child, call_in
from policyd_trainer.guardian.joining import join
from policyd_trainer.guardian.pulse import Pulse, standstill
from policyd_trainer.guardian.watch import during

PATIENCE = datetime.timedelta(seconds=300)  # how long a sum waits for the other processes
GOODBYE = 5.0  # seconds that a process has to end by itself
_LOOK = 0.5  # seconds between two checks whether a process still runs


class RankedLoop(DeviceLoop):
    """The loop of rank 0, which starts and ends the other processes."""

    def __init__(
        self,
        config: TrainingConfig,
        info: EnvironmentInfo,
        device: str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`device` is `cpu` or `cuda`. With `cuda` there must be `config.devices` GPUs.

        Raises:
            InvalidArgument: the machine has fewer GPUs.
            EnvironmentFailed: another process could not make its environments.
        """
        _check_count(config, device)
        self._folder = TemporaryFolder("ranks")
        self._others = [
            _Other(config, rank, device, self._folder.path, dtype) for rank in range(1, config.devices)
        ]
        self._end = weakref.finalize(self, _end, self._others, self._folder)  # also when this process exits
        try:
            for other in self._others:
                other.answer()  # the process has made its environments once
            for other in self._others:
                other.ask("join", None)
            group = _join(config, 0, device, self._folder.path)
            super().__init__(config, task_of(config, info), _device(device, 0), group, dtype)
            self._all("ready")
        except BaseException:
            self._end()  # not at a later garbage collection, when another loop's group may be there
            raise

    def advance(self, rates: Rates) -> None:
        """Does one rollout and its update in all processes."""
        for other in self._others:
            other.ask("advance", rates)
        try:
            super().advance(rates)
        except RuntimeError as error:  # the connection to another process broke
            raise self._failure() from error

    def load(self, weights: Weights, moments: RunningMoments | None) -> None:
        """Starts all processes from these weights and moments."""
        super().load(weights, moments)
        self._all("load", (weights, moments))

    def state(self) -> dict[str, Any]:
        """The states of all processes."""
        return {"ranks": [super().state(), *self._all("state")]}

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes back to such a state, which came from as many processes."""
        first, *rest = saved["ranks"]
        for other, state in zip(self._others, rest, strict=True):
            other.ask("restore", state)
        super().restore(first)
        for other in self._others:
            other.answer()

    def close(self) -> None:
        """Ends the other processes. Kills those that do not end by themselves."""
        super().close()
        self._end()

    def _all(self, method: str, argument: Any = None) -> list[Any]:
        for other in self._others:
            other.ask(method, argument)
        return [other.answer() for other in self._others]

    def _failure(self) -> PolicydError:
        """Why a sum failed, as the other processes know it. They have GOODBYE seconds to say it."""
        for other in self._others:
            try:
                for left in waits(GOODBYE):
                    if other.has_answer(left):
                        other.answer()
            except PolicydError as error:
                return error
        return _ended()


class _Other:
    """Another process, as rank 0 sees it."""

    def __init__(
        self, config: TrainingConfig, rank: int, device: str, folder: Path, dtype: torch.dtype
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._board = board_of_a_child(context)  # says what the process is doing
        arguments = (theirs, self._board, config, rank, device, folder, dtype)
        self._process: SpawnProcess = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._pulse = Pulse(self._board, self._process.pid or 0)

    def ask(self, method: str, argument: Any) -> None:
        """Sends a call. Raises EnvironmentFailed if the process has ended."""
        try:
            self._pipe.send((method, argument))
        except OSError as error:
            raise _ended() from error

    def has_answer(self, seconds: float) -> bool:
        """Waits for a response or for the end of the process.

        Raises EnvironmentHangs if the process stands still.
        """
        if self._pipe.poll(seconds):
            return True
        if self._pulse.is_lost():
            why = standstill(self._process.pid or 0)
            self._process.kill()
            call = during(call_in(self._board))
            raise EnvironmentHangs(f"a process that learns beside this one {why}{call}")
        return False

    def answer(self) -> Any:
        """Waits for the process's response to the oldest call. Raises it if it is an error."""
        try:
            while not self.has_answer(_LOOK):
                pass
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise _ended() from error
        if isinstance(answer, PolicydError):
            raise answer
        return answer

    def end(self) -> None:
        """Closes the pipe, waits for the process to end, and kills it if it does not."""
        self._pipe.close()
        join(self._process, GOODBYE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def serve(
    pipe: Connection,
    board: Array[c_ubyte],
    config: TrainingConfig,
    rank: int,
    device: str,
    folder: Path,
    dtype: torch.dtype,
) -> None:
    """Runs in another process: does what rank 0 asks until rank 0 closes the pipe.

    It writes to `board` which call into the environment is running.
    """
    BOARD.write_to(memoryview(board))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # rank 0 decides when to end, and closes the pipe
    try:
        with Watchdog(config.step_timeout, config.env_id):
            info = inspect(config)
            pipe.send(None)
            pipe.recv()
            group = _join(config, rank, device, folder)
            loop = DeviceLoop(config, task_of(config, info), _device(device, rank), group, dtype)
            _obey(pipe, loop)
    except (EOFError, OSError):
        return  # rank 0 has ended
    except PolicydError as error:
        pipe.send(error)
    except RuntimeError as error:
        pipe.send(EnvironmentFailed(f"process {rank} of {config.devices}: {error}"))


def _obey(pipe: Connection, loop: DeviceLoop) -> None:
    methods: dict[str, Callable[[Any], Any]] = {
        "ready": lambda _: None,
        "load": lambda given: loop.load(*given),
        "state": lambda _: loop.state(),
        "restore": loop.restore,
    }
    while True:
        method, argument = pipe.recv()
        if method == "advance":  # the sums inside it are the response
            loop.advance(argument)
        else:
            pipe.send(methods[method](argument))


def _join(config: TrainingConfig, rank: int, device: str, folder: Path) -> Group:
    """Connects to the other processes."""
    if device == "cuda":
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // config.devices))
    torch.distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=config.devices,
        timeout=PATIENCE,
    )
    return Group(rank, config.devices)


def _device(device: str, rank: int) -> torch.device:
    return torch.device(device, rank) if device == "cuda" else torch.device(device)


def _check_count(config: TrainingConfig, device: str) -> None:
    if device == "cuda" and torch.cuda.device_count() < config.devices:
        wanted = f"at most the {torch.cuda.device_count()} GPUs that are there"
        raise InvalidArgument.of("settings[devices]", got=config.devices, wanted=wanted)


def _ended() -> EnvironmentFailed:
    return EnvironmentFailed("a process that learns beside this one ended unexpectedly")


def _end(others: list[_Other], folder: TemporaryFolder) -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for other in others:
        other.end()
    folder.remove()
