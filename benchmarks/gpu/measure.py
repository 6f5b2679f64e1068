"""Seconds and speeds on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import fmean

import torch

from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.program import Program

WARM = 4  # calls before a measurement: allocations, the recording of the graph


def wait(device: torch.device) -> None:
    """Waits until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def speed(call: Callable[[], object], steps: int, device: torch.device, seconds: float) -> float:
    """Environment steps per second of a call that takes `steps` steps."""
    for _ in range(WARM):
        call()
    wait(device)
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not calls:
        call()
        calls += 1
        if calls % 8 == 0:
            wait(device)
    wait(device)
    return calls * steps / (time.perf_counter() - began)


def environment_speed(program: Program, steps: int, device: torch.device, seconds: float) -> float:
    """Steps per second of the environments alone, with the same actions in each step.

    On a GPU they run as a CUDA graph.
    """
    actions = program.storage.actions[:, 0].flatten(0, 1).clone()

    def roll() -> None:
        program.streams.advance()
        program.stepper.prepare(program.config.n_steps)
        for _ in range(program.config.n_steps):
            program.observations.copy_(program.stepper.step(actions).observations)

    return speed(recorded(roll, device), steps, device, seconds)


def recorded(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """The call as a CUDA graph. On a CPU it is the call itself."""
    if device.type != "cuda":
        return call
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        call()
        call()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def sampled_return(loop: DeviceLoop, episodes: int = 20) -> float:
    """The mean return of sampled actions, over the first episode of the first environments."""
    program = loop.program
    saved = {name: tensor.clone() for name, tensor in loop._tensors().items()}  # noqa: SLF001
    state = program.stepper.snapshot()
    program.reset()
    returns, running = [0.0] * episodes, [True] * episodes
    while any(running):
        program.collect()
        rewards = program.storage.rewards[0, :, :episodes].cpu()
        dones = program.storage.dones[0, :, :episodes].cpu()
        for index in range(episodes):
            for reward, done in zip(rewards[:, index].tolist(), dones[:, index].tolist(), strict=True):
                if running[index]:
                    returns[index] += reward
                    running[index] = not done
    for name, tensor in loop._tensors().items():  # noqa: SLF001
        tensor.copy_(saved[name])
    program.observations.copy_(program.stepper.restore(state))
    return fmean(returns)
