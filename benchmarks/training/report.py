"""The results as Markdown."""

from __future__ import annotations

from statistics import median

import numpy as np

from benchmarks.training.contestants import CONTESTANTS, TASKS
from benchmarks.training.results import Results, RunResult, band, median_time

HEADER = (
    "| contestant | seconds to {threshold:.0f}, median (range) | without imports | solved "
    "| env-steps/s | CPU s | peak MB | end: greedy | end: sampled |\n|---|---|---|---|---|---|---|---|---|\n"
)


def markdown(results: Results) -> str:
    """A table for each environment, ratios, and the share of the limit."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in results.environment.items())]
    for env_id in dict.fromkeys(env_id for _, env_id in results.cells()):
        parts.append(f"## {env_id}\n\n" + _table(results, env_id))
        parts.append(_ratios(results, env_id))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(results: Results, env_id: str) -> str:
    rows = [_row(name, results.of(name, env_id)) for name, env in results.cells() if env == env_id]
    return HEADER.format(threshold=TASKS[env_id].threshold) + "\n".join(rows)


def _row(name: str, runs: list[RunResult]) -> str:
    total = median_time(runs, lambda run: run.solved_seconds)
    bare = median_time(runs, lambda run: run.solved_learning_seconds)
    solved = sum(run.solved_seconds is not None for run in runs)
    cells = [
        name,
        f"{_seconds(total[0])} ({_seconds(total[1])} to {_seconds(total[2])})",
        _seconds(bare[0]),
        f"{solved} of {len(runs)}",
        f"{median(run.steps_per_second for run in runs):,.0f}",
        f"{median(run.cpu_seconds for run in runs):.1f}",
        f"{median(run.peak_mb for run in runs):.0f}",
        "; ".join(f"{run.final_greedy:.0f}" for run in runs),
        "; ".join(f"{run.final_sampled:.0f}" for run in runs),
    ]
    return "| " + " | ".join(cells) + " |"


def _seconds(value: float) -> str:
    return "never" if value == float("inf") else f"{value:.1f}"


def _ratios(results: Results, env_id: str) -> str:
    ours = [name for name, env in results.cells() if env == env_id and not CONTESTANTS[name].peer]
    peers = [name for name, env in results.cells() if env == env_id and CONTESTANTS[name].peer]
    lines = []
    for name in ours:
        mine = results.of(name, env_id)
        rate = median(run.steps_per_second for run in mine)
        alone = results.alone[f"{name}|{env_id}"]
        lines.append(
            f"- {name}: {rate:,.0f} env-steps/s of {alone:,.0f} with random actions and no learning "
            f"({rate / alone:.0%} of the limit)"
        )
        lines += [_against(name, mine, peer, results.of(peer, env_id)) for peer in peers]
    return "\n".join(lines)


def _against(name: str, mine: list[RunResult], peer: str, theirs: list[RunResult]) -> str:
    time = (
        median_time(theirs, lambda r: r.solved_seconds)[0] / median_time(mine, lambda r: r.solved_seconds)[0]
    )
    quicker = (
        "solves it, the peer does not" if time == float("inf") else f"{time:.1f}x quicker to the threshold"
    )
    rate = median(r.steps_per_second for r in mine) / median(r.steps_per_second for r in theirs)
    return f"- {name} against {peer}: {quicker}, {rate:.1f}x the env-steps/s{_after_30(mine, theirs)}"


def _after_30(mine: list[RunResult], theirs: list[RunResult]) -> str:
    end = max(run.seconds for run in theirs)
    if end <= 30:
        return ""
    moments = np.linspace(30, end, 40)
    ahead = band(mine, moments)[0] - band(theirs, moments)[0]
    return (
        f", mean return at equal wall clock from 30 s to {end:.0f} s: ahead at {np.mean(ahead > 0):.0%} "
        f"of the moments, by {np.median(ahead):.0f} in the median"
    )
