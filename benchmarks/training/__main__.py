"""Measures training: `python -m benchmarks.training`, or `make bench-training`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import click

from benchmarks.training import chart, report
from benchmarks.training.contestants import CHECKOUT, CONTESTANTS, TASKS
from benchmarks.training.measure import PEERS, Plan, run
from benchmarks.training.peers import REQUIREMENTS, peers_python

SEEDS = (2001, 2002, 2003, 2004, 2005)  # no preset was tuned on these seeds


@click.command(context_settings={"show_default": True})
@click.option("--only", multiple=True, type=click.Choice(list(CONTESTANTS)), help="Repeatable. Default: all.")
@click.option("--env", "env_ids", multiple=True, type=click.Choice(list(TASKS)), help="Default: all.")
@click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS, help="Repeatable.")
@click.option(
    "--peer-steps", multiple=True, metavar="ENV=STEPS", help="Smaller budget of peers. Default: full."
)
@click.option("--max-seconds", type=click.FloatRange(1), default=1800.0, help="Stops any run after this.")
@click.option("--episodes", type=click.IntRange(2), default=20, help="Episodes that score a snapshot.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=CHECKOUT / "benchmarks/results",
    help="Folder of the JSON, Markdown and PNG files.",
)
def main(
    only: tuple[str, ...],
    env_ids: tuple[str, ...],
    seeds: tuple[int, ...],
    peer_steps: tuple[str, ...],
    max_seconds: float,
    episodes: int,
    output: Path,
) -> None:
    """Train with policyd and its peers in turn, timed from process start to a solved task."""
    contestants, env_ids = only or tuple(CONTESTANTS), env_ids or tuple(TASKS)
    plan = Plan(contestants, env_ids, seeds, _budgets(peer_steps), max_seconds, episodes)
    needs_peers = any(CONTESTANTS[name].peer for name in contestants)
    python = peers_python(PEERS) if needs_peers else Path()
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as folder:
        results = run(plan, python, Path(folder), _environment())
    output.mkdir(parents=True, exist_ok=True)
    name = f"training-{time.strftime('%Y%m%d-%H%M%S')}"
    (output / f"{name}.json").write_text(json.dumps(results.as_json(), indent=1))
    text = report.markdown(results)
    (output / f"{name}.md").write_text(text)
    chart.draw(results, output / f"{name}.png")
    print(text)
    print(f"written: {output / name}.{{json,md,png}}")


def _budgets(peer_steps: tuple[str, ...]) -> dict[str, int]:
    budgets = {}
    for entry in peer_steps:
        env_id, _, steps = entry.partition("=")
        if env_id not in TASKS or not steps.isdigit():
            raise click.BadParameter(f"got {entry}, wanted ENV=STEPS with ENV one of {', '.join(TASKS)}")
        budgets[env_id] = int(steps)
    return budgets


def _environment() -> dict[str, object]:
    ours = [f"{name} {importlib.metadata.version(name)}" for name in ("gymnasium", "numpy", "torch")]
    return {
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join([*ours, *REQUIREMENTS]),
        "clock": "process start to the first snapshot whose sampled episodes reach the threshold; "
        "snapshots are scored after the run",
        "load average at the start": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
