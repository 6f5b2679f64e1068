"""What the presets reach: `python -m benchmarks.training.quality`.

Runs the command that a user would, on each task and seed, and prints what the published version
says of itself: the mean return of fresh episodes, greedy and sampled. The presets were found on
other seeds. Results are appended to a file as they come, and what is there is not run
again, except what failed. If the last run of any row failed, so does this command.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import click

from benchmarks.training.contestants import CHECKOUT

SEEDS = (3001, 3002, 3003, 3004, 3005)
LIMITED: Mapping[str, str] = {"max_episode_steps": "200"}  # CliffWalking has no time limit


@dataclass(frozen=True)
class Task:
    """One row: the task, and the mean return that both modes must reach."""

    env_id: str
    wanted: float
    algorithm: str = "a2c"
    settings: Mapping[str, str] = field(default_factory=dict)


TASKS: Mapping[str, Task] = {
    "CartPole": Task("CartPole-v1", 490),
    "Acrobot": Task("Acrobot-v1", -85),
    "Pendulum": Task("Pendulum-v1", -250),
    "MountainCarContinuous": Task("MountainCarContinuous-v0", 90),
    "LunarLander": Task("LunarLander-v3", 220),
    "LunarLanderContinuous": Task("LunarLanderContinuous-v3", 200),
    "MountainCar": Task("MountainCar-v0", -110),
    "FrozenLake4x4": Task("FrozenLake-v1", 0.7),
    "FrozenLake8x8": Task("FrozenLake8x8-v1", 0.8),
    "CliffWalking": Task("CliffWalking-v1", -20, settings=LIMITED),
    "Taxi": Task("Taxi-v4", 7),
}


@click.command(context_settings={"show_default": True})
@click.option("--task", "names", multiple=True, type=click.Choice(list(TASKS)), help="Default: all.")
@click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS, help="Repeatable.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="For all runs. Repeatable.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=CHECKOUT / "benchmarks/results/quality.jsonl",
)
def main(names: tuple[str, ...], seeds: tuple[int, ...], settings: tuple[str, ...], output: Path) -> None:
    """Train each task with each seed and print the table."""
    output.parent.mkdir(parents=True, exist_ok=True)
    chosen = names or tuple(TASKS)
    for seed in seeds:
        for name in chosen:
            if _key(name, seed, settings) in _succeeded(output):
                continue
            row = {"key": _key(name, seed, settings), **_run(TASKS[name], seed, settings)}
            with output.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, file=sys.stderr, flush=True)
    print(_table(chosen, seeds, settings, _rows(output)))
    wanted = {_key(name, seed, settings) for seed in seeds for name in chosen}
    if failed := wanted - _succeeded(output):
        raise click.ClickException(
            f"{len(failed)} of {len(wanted)} runs failed; the same command repeats them"
        )


def _succeeded(output: Path) -> set[tuple[str, int, str]]:
    """The keys of the runs that ended with an evaluation."""
    return {tuple(row["key"]) for row in _rows(output) if "error" not in row}


def _key(name: str, seed: int, settings: tuple[str, ...]) -> tuple[str, int, str]:
    return name, seed, " ".join(settings)


def _rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


def _run(task: Task, seed: int, settings: tuple[str, ...]) -> dict[str, Any]:
    """The returns over new episodes, the seconds and the processor seconds of one run."""
    pairs = [f"{name}={value}" for name, value in task.settings.items()] + list(settings)
    with tempfile.TemporaryDirectory(prefix="policyd-quality-") as folder:
        command = [sys.executable, "-m", "policyd_trainer", "train", "--policy", "quality", "--no-report"]
        command += ["--env", task.env_id, "--algorithm", task.algorithm, "--seed", str(seed)]
        command += ["--repository", folder, "--progress", "none"]
        began, used = time.monotonic(), _cpu_seconds()
        done = subprocess.run(
            [*command, *(word for pair in pairs for word in ("--set", pair))],
            check=False,
            capture_output=True,
            text=True,
        )
        figures: dict[str, Any] = {"seconds": time.monotonic() - began, "cpu": _cpu_seconds() - used}
        if done.returncode:
            return {**figures, "error": (done.stdout + done.stderr)[-300:]}
        evaluation = json.loads((Path(folder) / "models/quality/1/evaluation.json").read_text())
        means = {mode: evaluation[mode].get("mean", 0.0) for mode in ("greedy", "sampled")}
        return {**figures, **means}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _table(
    names: tuple[str, ...], seeds: tuple[int, ...], settings: tuple[str, ...], rows: list[dict[str, Any]]
) -> str:
    found = {tuple(row["key"]): row for row in rows}
    lines = [
        "| task | wanted | " + " | ".join(map(str, seeds)) + " | CPU s a run |",
        "|---|---|" + "---|" * (len(seeds) + 1),
    ]
    for name in names:
        runs = [found.get(_key(name, seed, settings), {}) for seed in seeds]
        cells = [
            f"{run['greedy']:.4g} / {run['sampled']:.4g}" if "greedy" in run else "failed" for run in runs
        ]
        cost = mean(run["cpu"] for run in runs)
        lines.append(f"| {name} | {TASKS[name].wanted:g} | " + " | ".join(cells) + f" | {cost:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
