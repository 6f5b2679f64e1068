"""What rollout workers gain: `python -m benchmarks.training.workers`.

In rounds, a busy minute hits all.

The wall clock needs an idle core for each process. CPU time does not: learner and workers take
turns, so the CPU that the learner and the busiest worker use for a step says how fast they are on
idle cores. Workers that collect ahead do not wait for turns: then the busier of the two says it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks.training.loop import OURS, speed
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.guardian.tree import descendants

TICKS = os.sysconf("SC_CLK_TCK")  # ticks per second


@dataclass(frozen=True)
class Speed:
    """The speed of one run, in env-steps per second."""

    wall: float
    idle: float  # by CPU time, as if every process had a core of its own


def measure(env_id: str, algorithm: str, workers: int, rollouts: int, backend: str, *, ahead: bool) -> Speed:
    """Times the preset's training loop with `workers` workers, without their start."""
    settings = {"rollout_workers": str(workers), "total_timesteps": str(10**9)}
    if workers:
        settings["rollout_backend"] = f'"{backend}"'
        settings["collect_ahead"] = "true" if ahead else "false"
    config = resolve_config("benchmark", env_id, algorithm, 2001, settings)
    loop = start(config, inspect(config))
    try:
        training = loop.run()
        next(training)
        pids = [os.getpid(), *_workers()]
        steps, began, used = loop.counters.env_steps, time.perf_counter(), [*map(_cpu_seconds, pids)]
        for _ in itertools.islice(training, rollouts):
            pass
        steps, seconds = loop.counters.env_steps - steps, time.perf_counter() - began
        learner, *others = (_cpu_seconds(pid) - before for pid, before in zip(pids, used, strict=True))
    finally:
        loop.collector.close()
        while _workers():  # Ray ends actors later; until then they would count for the next run
            time.sleep(0.1)
    busiest = max(others, default=0.0)
    return Speed(steps / seconds, steps / (max(learner, busiest) if ahead else learner + busiest))


def _workers() -> list[int]:
    """Process ids of the rollout workers on this machine: children, or actors of this cluster."""
    actors = []
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::RolloutActor"):
                actors.append(pid)
    return actors or [process.pid or 0 for process in multiprocessing.active_children()]


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, in seconds; proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@click.command(context_settings={"show_default": True})
@click.option("--env", "env_id", default="LunarLander-v3")
@click.option("--algorithm", type=click.Choice(["a2c", "reinforce"]), default="a2c")
@click.option("--workers", "counts", multiple=True, type=int, default=(0, 1, 2), help="Repeatable.")
@click.option("--rollouts", type=click.IntRange(1), default=100, help="Of each run.")
@click.option("--backend", type=click.Choice(["processes", "ray"]), default="processes", help="Of workers.")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--ahead/--no-ahead", default=False, help="Workers collect while the learner learns.")
@click.option("--baseline", type=click.Path(path_type=Path, exists=True), help="A checkout with its .venv.")
def main(
    env_id: str,
    algorithm: str,
    counts: tuple[int, ...],
    rollouts: int,
    backend: str,
    rounds: int,
    ahead: bool,
    baseline: Path | None,
) -> None:
    """Print env-steps/s of training for each number of workers, as medians over rounds."""
    if backend == "ray":
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # it is alone on loopback, and writes no token
        import ray  # noqa: PLC0415 -- an extra

        ray.init(num_cpus=max(counts), include_dashboard=False, log_to_driver=False)
    names = [*(["baseline"] if baseline is not None else []), *map(str, counts)]
    speeds: dict[str, list[Speed]] = {name: [] for name in names}
    for _ in range(rounds):
        if baseline is not None:
            speeds["baseline"].append(_of_checkout(baseline, env_id, rollouts))
        for count in counts:
            speeds[str(count)].append(measure(env_id, algorithm, count, rollouts, backend, ahead=ahead))
    print(f"{env_id}, {algorithm}, {backend}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| workers | env-steps/s | ratio | on idle cores, by CPU time | ratio |\n|---|---|---|---|---|")
    walls = {name: median(each.wall for each in runs) for name, runs in speeds.items()}
    idles = {name: median(each.idle for each in runs) for name, runs in speeds.items()}
    for name in names:
        wall, idle = walls[name], idles[name]
        ratios = wall / walls[names[0]], idle / idles[names[0]]
        print(f"| {name} | {wall:,.0f} | {ratios[0]:.2f} | {idle:,.0f} | {ratios[1]:.2f} |")


def _of_checkout(checkout: Path, env_id: str, rollouts: int) -> Speed:
    """Times A2C's loop of another checkout, without workers, for about as many steps."""
    preset = resolve_config("benchmark", env_id, "a2c", 2001, {})
    steps = str(max(10_000, rollouts * preset.n_envs * preset.n_steps))
    command = [str(checkout / ".venv/bin/python"), str(OURS), env_id, steps, "{}"]
    idle, wall = speed(command, checkout)
    return Speed(wall, idle)


if __name__ == "__main__":
    main()
