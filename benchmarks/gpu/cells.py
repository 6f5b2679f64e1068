"""What is measured, in order of importance: what the time is too short for is named, not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from benchmarks.gpu import jax_program, measure
from benchmarks.gpu.eager import EagerLoop
from benchmarks.gpu.tasks import task

Cell = dict[str, Any]
SOLVED = 475.0


@dataclass(frozen=True)
class Sizes:
    """How large the cells are, and how long they run."""

    envs: tuple[int, ...] = (1024, 4096, 65536)
    middle: int = 4096  # environments of every cell but CartPole's three sizes
    images: int = 512
    population: int = 64
    population_envs: int = 64  # of each member
    wide: int = 1024  # units of the large network
    seconds: float = 2.0  # seconds of one measurement
    solve_envs: int = 1024
    patience: float = 30.0  # seconds in which CartPole must reach a return of 475


QUICK = Sizes((32, 64), 64, 4, 3, 16, 32, 0.05, 32, 1.0)


def cells(sizes: Sizes, device: torch.device) -> list[tuple[str, Callable[[], Cell]]]:
    """The name and the measurement of each cell."""
    trained = [(f"CartPole N={n}", partial(_trained, "CartPole-v1", n, sizes, device)) for n in sizes.envs]
    middle = sizes.middle
    large = {"hidden_sizes": [sizes.wide] * 4, "critic_hidden_sizes": [sizes.wide] * 4}
    return [
        *trained,
        ("seconds to 475", partial(_solved, sizes, device)),
        (f"eager torch loop N={middle}", partial(_eager, sizes, device)),
        (f"CPU engine N={middle}", partial(_host, "CartPole-v1", middle, sizes)),
        (f"population of {sizes.population}", partial(_population, sizes, device)),
        (f"JAX program N={middle}", partial(_jax, sizes)),
        (f"images N={sizes.images}", partial(_images, sizes, device)),
        (f"Pendulum N={middle}", partial(_trained, "Pendulum-v1", middle, sizes, device)),
        ("4 x 1024 network", partial(_trained, "CartPole-v1", middle, sizes, device, **large)),
        (
            "4 x 1024 network, bf16",
            partial(_trained, "CartPole-v1", middle, sizes, device, precision="bf16", **large),
        ),
        ("CartPole without a graph", partial(_uncaptured, sizes, device)),
    ]


TOO_LATE = "the time was over"


@dataclass
class Findings:
    """The results so far. Another thread may read them at any time."""

    names: list[str]  # of all cells
    results: dict[str, Cell] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)  # why a cell did not run
    running: str = ""

    def cut(self) -> None:
        """Gives a reason for each cell that has neither a result nor a reason yet."""
        if self.running and self.running not in self.results:
            self.omitted[self.running] = "not run to its end: the time was over"
        for name in self.names:
            if name not in self.results:
                self.omitted.setdefault(name, TOO_LATE)


def run(sizes: Sizes, device: torch.device, deadline: float, findings: Findings) -> None:
    """Runs the cells. No cell begins after `deadline`, in seconds of `time.monotonic`."""
    for name, measured in cells(sizes, device):
        if time.monotonic() > deadline:
            findings.omitted[name] = TOO_LATE
            continue
        findings.running = name
        began = time.monotonic()
        try:
            found = measured()
        except ImportError as error:
            findings.omitted[name] = str(error)
        except RuntimeError as error:  # out of memory, for instance; the other cells still count
            findings.omitted[name] = f"failed: {str(error).splitlines()[0]}"
        else:
            findings.results[name] = found
            print(f"{name:28} {summary(found)}  ({time.monotonic() - began:.1f} s)", flush=True)
            continue
        print(f"{name:28} not run: {findings.omitted[name]}", flush=True)


def summary(cell: Cell) -> str:
    """A result in one line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in cell.items())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _trained(env_id: str, n_envs: int, sizes: Sizes, device: torch.device, **settings: Any) -> Cell:
    """Environment steps per second: of the environment alone, with acting, and with learning."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    loop = task(env_id, n_envs, **settings).on_device(device)
    steps, program = n_envs * loop.config.n_steps, loop.program
    found = {
        "training": measure.speed(lambda: loop.advance(loop.rates()), steps, device, sizes.seconds),
        "acting": measure.speed(measure.recorded(program.collect, device), steps, device, sizes.seconds / 2),
        "environment": measure.environment_speed(program, steps, device, sizes.seconds / 2),
    }
    loop.check_finite()
    if device.type == "cuda":
        found["peak_memory_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found


def _uncaptured(sizes: Sizes, device: torch.device) -> Cell:
    """The same operations without a CUDA graph, which shows what the graph gains."""
    loop = task("CartPole-v1", sizes.middle).on_device(device, capture=False)
    return {"training": _learning(loop, sizes, device)}


def _eager(sizes: Sizes, device: torch.device) -> Cell:
    loop = EagerLoop(task("CartPole-v1", sizes.middle), device)
    steps = sizes.middle * 16
    return {"training": measure.speed(loop.advance, steps, device, sizes.seconds)}


def _host(env_id: str, n_envs: int, sizes: Sizes) -> Cell:
    loop = task(env_id, n_envs).on_cpu()
    steps = loop.run()
    each = n_envs * loop.config.n_steps
    return {"training": measure.speed(lambda: next(steps), each, torch.device("cpu"), sizes.seconds)}


def _population(sizes: Sizes, device: torch.device) -> Cell:
    """How much longer a rollout and update takes for all members than for one."""
    found = {}
    for seeds in (1, sizes.population):
        loop = task("CartPole-v1", sizes.population_envs, seeds=seeds).on_device(device)
        found[seeds] = _learning(loop, sizes, device)  # steps per second of one member
    alone, together = found[1], found[sizes.population]
    return {"training": together * sizes.population, "one": alone, "times_one": alone / together}


def _images(sizes: Sizes, device: torch.device) -> Cell:
    """Images on the device, and the same on this machine's CPU."""
    found = _trained("Catch", sizes.images, sizes, device)
    if device.type == "cuda":
        few = max(8, sizes.images // 16)
        cpu = torch.device("cpu")
        found["cpu_training"] = _learning(task("Catch", few).on_device(cpu), sizes, cpu)
        found["ratio_to_cpu"] = found["training"] / found["cpu_training"]
    return found


def _jax(sizes: Sizes) -> Cell:
    return {"training": jax_program.jax_speed(sizes.middle, 16, 4, sizes.seconds)}


def _solved(sizes: Sizes, device: torch.device) -> Cell:
    """Seconds of learning until 20 sampled episodes return 475, without the evaluation."""
    loop = task("CartPole-v1", sizes.solve_envs).on_device(device)
    seconds, best = 0.0, 0.0
    while seconds < sizes.patience:
        began = time.perf_counter()
        for _ in range(20):
            loop.advance(loop.rates())
        loop.runner.synchronize()
        seconds += time.perf_counter() - began
        best = max(best, found := measure.sampled_return(loop))
        if found >= SOLVED:
            return {"seconds": seconds, "env_steps": loop.counters.env_steps, "return": found}
    return {"seconds": None, "env_steps": loop.counters.env_steps, "best_return": best}


def _learning(loop: Any, sizes: Sizes, device: torch.device) -> float:
    steps = loop.config.n_envs * loop.config.n_steps
    return measure.speed(lambda: loop.advance(loop.rates()), steps, device, sizes.seconds)
