"""Counts the errors of off-policy estimates and of canaries: `python -m benchmarks.evidence`."""

from __future__ import annotations

import os

# The arrays are small: threads of BLAS would only wait for each other. numpy reads this at import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.evidence import canaries
from benchmarks.evidence.chart import draw_chart
from benchmarks.evidence.coverage import NAMES, measure


@click.command(context_settings={"show_default": True})
@click.option(
    "--logs",
    type=click.IntRange(1),
    default=300,
    help="Of each scenario of 200 steps or with wrong probabilities.",
)
@click.option(
    "--covered",
    type=click.IntRange(1),
    default=2000,
    help="Logs of each scenario whose intervals are counted. Of exact 95% intervals of 300 logs, "
    "chance alone puts one count in twelve outside of 93 to 97%.",
)
@click.option("--canaries", "count", type=click.IntRange(1), default=1000, help="Of each case.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--picture", type=click.Path(path_type=Path), default=None, help="Draws the canaries' ends.")
@click.option("--only", type=click.Choice(["all", "logs", "canaries"]), default="all")
def main(logs: int, covered: int, count: int, seed: int, picture: Path | None, only: str) -> None:
    """Measure how often estimates and canaries are right.

    Exit code 1: an estimate or a canary is wrong more often than it may be.
    """
    good = True
    if only != "canaries":
        good &= _logs(logs, covered, seed)
    if only != "logs":
        good &= _canaries(count, seed, picture)
    sys.exit(0 if good else 1)


def _logs(count: int, covered: int, seed: int) -> bool:
    click.echo(f"Logs of each scenario, seed {seed}\n")
    click.echo("| log | logs | BETTER | WORSE | CANNOT_TELL | caught | " + " | ".join(NAMES) + " |")
    click.echo("|---|" + "--:|" * (5 + len(NAMES)))
    good = True
    for found in measure(count, covered, seed):
        verdicts = [found.verdicts[name] for name in ("BETTER", "WORSE", "CANNOT_TELL")]
        held = [f"{found.held[name] / found.decided:.1%}" if found.decided else "-" for name in NAMES]
        caught = f"{found.caught / found.logs:.1%}"
        click.echo(
            f"| {' | '.join([found.scenario.name, *map(str, [found.logs, *verdicts]), caught, *held])} |"
        )
        good &= found.good
    return good


def _canaries(count: int, seed: int, picture: Path | None) -> bool:
    click.echo(f"\n{count} canaries of each case, seed {seed}\n")
    click.echo(
        "| case | promoted | rolled back | still open | median served | p99 served | of the plan | s |"
    )
    click.echo("|---|" + "--:|" * 7)
    good, found = True, []
    for case in canaries.cases():
        begin = time.monotonic()
        ended = canaries.simulate(case, count, seed)
        found.append(ended)
        shares = [ended.share(end) for end in (canaries.PROMOTED, canaries.ROLLED_BACK, canaries.RUNNING)]
        served = float(np.median(ended.served)), float(np.quantile(ended.served, 0.99))
        cells = [case.name, *(f"{share:.1%}" for share in shares), *(f"{n:.0f}" for n in served)]
        cells += [f"{served[1] / ended.planned:.1%}", f"{time.monotonic() - begin:.0f}"]
        click.echo(f"| {' | '.join(cells)} |")
        false_promotion = shares[0] if case.truth <= 0 else 0.0
        false_rollback = shares[1] if case.truth >= 0 else 0.0
        good &= false_promotion <= 0.05 and false_rollback <= 0.05
        if "much" in case.name:
            good &= shares[1] == 1.0 and served[1] < 0.02 * ended.planned
    if picture is not None:
        draw_chart(found, picture)
    return good


if __name__ == "__main__":
    main()
