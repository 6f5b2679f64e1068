"""The loop alone, beside an older checkout and JAX: `python -m benchmarks.training.loop`.

Rounds are interleaved, so that a busy minute hits all, and each process is measured by its own
processor time, start and first steps left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import click

from benchmarks.training.contestants import CHECKOUT
from benchmarks.training.measure import PEERS
from benchmarks.training.peers import peers_python

OURS = CHECKOUT / "benchmarks/training/loop_ours.py"


@click.command(context_settings={"show_default": True})
@click.option("--env", "env_id", default="CartPole-v1")
@click.option(
    "--envs", type=click.IntRange(1), default=16, help="Environments side by side; the preset has 16."
)
@click.option("--steps", type=click.IntRange(10_000), default=200_000, help="Of each run.")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE", help="Of our loop. Repeatable.")
@click.option("--baseline", type=click.Path(path_type=Path, exists=True), help="A checkout with its .venv.")
@click.option("--jax/--no-jax", default=False, help="The jitted program beside it; CartPole only.")
def main(
    env_id: str,
    envs: int,
    steps: int,
    rounds: int,
    settings: tuple[str, ...],
    baseline: Path | None,
    jax: bool,
) -> None:
    """Print env-steps per second, by processor time and wall clock, as medians over rounds."""
    chosen = {"n_envs": str(envs), **dict(entry.split("=", 1) for entry in settings)}
    arguments = [env_id, str(steps), json.dumps(chosen)]
    commands = {"this": ([sys.executable, str(OURS), *arguments], CHECKOUT)}
    if baseline is not None:
        commands["baseline"] = ([str(baseline / ".venv/bin/python"), str(OURS), *arguments], baseline)
    if jax:
        python = str(peers_python(PEERS))
        module = "benchmarks.training.peer_jax_loop"
        commands["JAX"] = ([python, "-m", module, env_id, str(steps), str(envs)], CHECKOUT)
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (command, folder) in commands.items():
            runs[name].append(speed(command, folder))
    print(f"{env_id}, {envs} environments, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| | env-steps per processor second | this / it | per second | this / it |\n|---|---|---|---|---|")
    ours = [median(column) for column in zip(*runs["this"], strict=True)]
    for name, pairs in runs.items():
        cpu, wall = (median(column) for column in zip(*pairs, strict=True))
        print(f"| {name} | {cpu:,.0f} | {ours[0] / cpu:.2f} | {wall:,.0f} | {ours[1] / wall:.2f} |")


def speed(command: list[str], folder: Path) -> tuple[float, float]:
    """Environment steps per processor second, and per second."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, env={**os.environ, **threads}, cwd=folder, check=True, capture_output=True, text=True
    )
    steps, cpu, wall = json.loads(done.stdout.splitlines()[-1])
    return steps / cpu, steps / wall


if __name__ == "__main__":
    main()
