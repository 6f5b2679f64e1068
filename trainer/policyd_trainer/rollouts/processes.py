"""Rollout workers as processes beside the learner."""

from __future__ import annotations

import multiprocessing
import weakref
from collections.abc import Sequence
from ctypes import Array, c_ubyte
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from policyd.errors import PolicydError
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentHangs
from policyd_trainer.guardian.board import board_of_a_child, call_in
from policyd_trainer.guardian.joining import join
from policyd_trainer.guardian.pulse import Pulse, standstill
from policyd_trainer.guardian.watch import during, how
from policyd_trainer.rollouts.worker import Answer, Method, Task, serve

GOODBYE = 5.0  # seconds that a worker has to end by itself
_LOOK = 0.5  # seconds between two checks whether a worker still runs


class ProcessCrew:
    """Owns its worker processes, which end with it or with this process."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Starts a process for each task.

        Raises:
            EnvironmentFailed: its environments cannot be made.
        """
        context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._pipes: list[Connection] = []
        self._boards: list[Array[c_ubyte]] = []  # each says what its worker is doing
        self._pulses: list[Pulse] = []
        self._end = weakref.finalize(self, _end, self._pipes, self._processes)  # also when this process exits
        for task in tasks:
            ours, theirs = context.Pipe()
            board = board_of_a_child(context)
            process = context.Process(target=serve, args=(theirs, task, board), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
            self._boards.append(board)
            self._pulses.append(Pulse(board, process.pid or 0))
        self._answers()

    def ask(self, method: Method, arguments: Sequence[Answer]) -> list[Answer]:
        """See `Crew`."""
        for worker, (pipe, argument) in enumerate(zip(self._pipes, arguments, strict=True)):
            try:
                pipe.send((method, argument))
            except OSError as error:
                raise self._death(worker) from error
        return self._answers()

    def close(self) -> None:
        """See `Crew`."""
        self._end()

    def _answers(self) -> list[Answer]:
        """One response of each worker. Raises the first of several errors."""
        answers = [self._answer(worker) for worker in range(len(self._pipes))]
        for answer in answers:
            if isinstance(answer, PolicydError):
                raise answer
        return answers

    def _answer(self, worker: int) -> Answer:
        pipe = self._pipes[worker]
        try:
            while not pipe.poll(_LOOK):
                if self._pulses[worker].is_lost():
                    return self._standstill(worker)
            return pipe.recv()[1]
        except (EOFError, OSError):
            return self._death(worker)

    def _standstill(self, worker: int) -> EnvironmentFailed:
        """Ends a worker that hangs. Returns why, and in which call."""
        process, call = self._processes[worker], call_in(self._boards[worker])
        why = standstill(process.pid or 0)
        process.kill()
        return EnvironmentHangs(f"a rollout worker {why}{during(call)}")

    def _death(self, worker: int) -> EnvironmentFailed:
        """What is known of a worker whose pipe has closed: how it ended, and in which call."""
        process = self._processes[worker]
        join(process, GOODBYE)
        ended = "closed its pipe" if process.exitcode is None else how(process.exitcode)
        return EnvironmentFailed(f"a rollout worker {ended}{during(call_in(self._boards[worker]))}")


def _end(pipes: list[Connection], processes: list[SpawnProcess]) -> None:
    """Closes the workers' pipes, waits for their end, then kills them."""
    for pipe in pipes:
        pipe.close()
    for process in processes:
        join(process, GOODBYE)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
