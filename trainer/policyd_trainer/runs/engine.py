"""Which engine a run learns with, and on which device.

The numpy engine (`algorithms`) is the fastest on a CPU. The engine of `device` keeps everything on
one device and learns populations. `device: auto` takes the faster one, by measurement, where there
is a GPU.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from policyd.repository.durable import make_directory, replace_file
from policyd_trainer.algorithms.interface import Loop
from policyd_trainer.algorithms.start import start
from policyd_trainer.arrays import resolve_device
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo

FILE = "device.json"  # in the run's folder: the device that was chosen, for a resumed run
PROBE = 1.0  # least seconds that each candidate learns
WARM = 4  # rollouts before that: imports, allocations, the recording of the graph
logger = logging.getLogger(__name__)

Start = Callable[[], Loop]


def start_loop(config: TrainingConfig, info: EnvironmentInfo, run_dir: Path) -> Loop:
    """The loop of a fresh run.

    Raises:
        InvalidArgument: the machine does not have the device, or a rollout cannot be dealt evenly.
        EnvironmentFailed: the environments cannot be made or reset.
    """
    device = _chosen(config, info, run_dir)
    return _loop(config, info, device)


def is_for_device(config: TrainingConfig) -> bool:
    """Whether the engine in `device` can learn this. Its rollouts have a fixed size."""
    fits = config.algorithm == "a2c" and config.critic_gradient == "semi" and config.engine == "auto"
    return fits and config.rollout_workers in (0, "auto")


def faster(candidates: Mapping[str, Start], seconds: float = PROBE) -> tuple[str, dict[str, float]]:
    """The candidate that learns from the most environment steps per second, and all speeds.

    Each learns for a while and is then dropped. Of equal speeds the first one wins.
    """
    speeds = {name: _speed(begin, seconds) for name, begin in candidates.items()}
    return max(speeds, key=lambda name: speeds[name]), speeds


def _chosen(config: TrainingConfig, info: EnvironmentInfo, run_dir: Path) -> str:
    """`cpu` or `cuda`. It is measured once per run."""
    device = resolve_device(config.device)
    if config.device != "auto" or device == "cpu":
        return device
    file = run_dir / FILE
    if file.exists():
        return str(json.loads(file.read_text())["device"])
    if config.needs_device_engine or not is_for_device(config):
        # No comparison is needed: populations and images always learn on the device.
        device = "cuda" if config.needs_device_engine or info.encoder.layout.has_images else "cpu"
        speeds: dict[str, float] = {}
    else:
        candidates: dict[str, Start] = {
            name: functools.partial(_loop, config, info, name) for name in ("cpu", "cuda")
        }
        device, speeds = faster(candidates)
    make_directory(run_dir)
    replace_file(file, json.dumps({"device": device, "env_steps_per_second": speeds}).encode())
    logger.info("%s", describe(device, speeds))
    return device


def describe(device: str, speeds: Mapping[str, float]) -> str:
    """The result of the measurement in words."""
    if not speeds:
        return f"device: {device}, without a probe"
    measured = ", ".join(f"{name} {speed:,.0f} env-steps/s" for name, speed in speeds.items())
    return f"device: {device}, by a probe of {PROBE:g} s each ({measured})"


def _loop(config: TrainingConfig, info: EnvironmentInfo, device: str) -> Loop:
    if not config.needs_device_engine and (device == "cpu" or not is_for_device(config)):
        return start(config.model_copy(update={"device": device}), info)
    torch: Any = importlib.import_module("torch")
    tasks: Any = importlib.import_module("policyd_trainer.device.tasks")
    if config.devices > 1:
        ranks: Any = importlib.import_module("policyd_trainer.device.ranks")
        ranked: Loop = ranks.RankedLoop(config, info, device)
        return ranked
    loops: Any = importlib.import_module("policyd_trainer.device.loop")
    loop: Loop = loops.DeviceLoop(config, tasks.task_of(config, info), torch.device(device))
    return loop


def _speed(begin: Start, seconds: float) -> float:
    """Environment steps per second, without the loop's start and its first rollouts."""
    loop = begin()
    try:
        steps = loop.run()
        for _ in range(WARM):
            next(steps, None)
        loop.check_finite()  # waits for the device
        began, before = time.perf_counter(), loop.counters.env_steps
        while time.perf_counter() - began < seconds and next(steps, steps) is not steps:
            pass
        loop.check_finite()
        return (loop.counters.env_steps - before) / (time.perf_counter() - began)
    finally:
        loop.close()
