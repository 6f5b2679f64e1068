"""Runs a program: eagerly on a CPU, as a CUDA graph on a GPU.

A graph repeats the same kernels on the same memory, with one launch instead of several thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from policyd_trainer.device.program import Program

EAGER = 2  # rollouts on a GPU before the recording: libraries allocate memory in their first calls
AHEAD = 2  # rollouts that the host may start before the device has finished them


class Runner:
    """Runs one rollout and its update per call.

    On a GPU the call returns before the device has finished.
    """

    def __init__(self, program: Program, *, capture: bool = True) -> None:
        """With `capture` False a GPU runs without a recorded graph, for comparisons."""
        self._program = program
        self._device = program.observations.device
        self._captures = capture and self._device.type == "cuda"
        self._whole = program.stepper.is_capturable
        self._eager = 0  # rollouts so far without a graph
        self._graph: Any = None  # torch.cuda.CUDAGraph
        self._ends: list[Any] = []  # events of the last rollouts

    def run(self) -> None:
        """Runs the next rollout and its update."""
        if self._device.type != "cuda":
            self._program.iterate()
            return
        self._run_on_gpu()
        self._wait_for_old()

    def synchronize(self) -> None:
        """Waits until everything that was started is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _run_on_gpu(self) -> None:
        program = self._program
        if not self._captures:
            program.iterate()
            return
        if self._eager < EAGER:
            self._eager += 1
            self._aside(program.iterate)
            return
        if not self._whole:
            program.collect()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            torch.cuda.synchronize(self._device)
            with torch.cuda.graph(self._graph):  # records the work without running it
                (program.iterate if self._whole else program.learn)()
        self._graph.replay()

    def _aside(self, call: Callable[[], None]) -> None:
        """Runs the call on a CUDA stream of its own, as CUDA graphs require before a recording."""
        stream: Any = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            call()
        torch.cuda.current_stream(self._device).wait_stream(stream)

    def _wait_for_old(self) -> None:
        """Waits for the rollout before the last two.

        So the run's clock, and the answer to a request to stop, lag by two rollouts at most.
        """
        self._ends.append(torch.cuda.Event())
        self._ends[-1].record()
        if len(self._ends) > AHEAD:
            self._ends.pop(0).synchronize()
