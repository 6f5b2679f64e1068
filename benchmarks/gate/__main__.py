"""Counts the gate's errors: `python -m benchmarks.gate`, or `make bench-gate`."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator

import click

from benchmarks.gate.scenarios import ERRORS, GAINS, Scenario, of_environment
from benchmarks.gate.trials import Tally, trials

ALLOWED = 0.05  # share of false promotions that is allowed
_ROW = "| {:<32} | {:>8} | {:>8} | {:>7} | {:>6} | {:>6} | {:>7} |"
_HEAD = ("scenario", "promoted", "at most", "allowed", "kept", "median", "seconds")


@click.command(context_settings={"show_default": True})
@click.option("--trials", "count", type=click.IntRange(1), default=2000, help="Of each scenario.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of all trials.")
@click.option("--env", "env_ids", multiple=True, help="Random play of this environment, too. Repeatable.")
@click.option("--max-episodes", type=click.IntRange(20), default=500, help="Of a comparison.")
@click.option("--only", default="", help="Scenarios whose name holds this.")
def main(count: int, seed: int, env_ids: tuple[str, ...], max_episodes: int, only: str) -> None:
    """Comparisons of policies whose true difference is known.

    Exit code 1: more false promotions than 5%.
    """
    click.echo(f"{count} trials of each scenario, seed {seed}, at most {max_episodes} paired episodes\n")
    click.echo(_ROW.format(*_HEAD))
    click.echo(
        "|" + "|".join("-" * (len(cell) - 1) + ":" for cell in _ROW.format(*_HEAD).split("|")[1:-1]) + "|"
    )
    wrong = False
    for scenario in _scenarios(env_ids, seed, max_episodes):
        if only in scenario.name:
            begin = time.monotonic()
            tally = trials(scenario, count, seed=seed)
            click.echo(_row(scenario, tally, time.monotonic() - begin))
            wrong |= not scenario.promotable and tally.promoted > ALLOWED * tally.count
    sys.exit(1 if wrong else 0)


def _scenarios(env_ids: tuple[str, ...], seed: int, max_episodes: int) -> Iterator[Scenario]:
    """All scenarios, with `max_episodes` unless a scenario sets its own."""
    of_environments = [scenario for env_id in env_ids for scenario in of_environment(env_id, seed)]
    for scenario in (*ERRORS, *of_environments, *GAINS):
        config = {"max_episodes": max_episodes, **scenario.config}
        yield dataclasses.replace(scenario, config=config)


def _row(scenario: Scenario, tally: Tally, seconds: float) -> str:
    """One table row. Its `at most` is the upper end of the rate's 95% interval."""
    return _ROW.format(
        scenario.name,
        f"{tally.promoted / tally.count:.2%}",
        f"{tally.highest_rate:.2%}",
        "any" if scenario.promotable else f"{ALLOWED:.0%}",
        f"{tally.kept / tally.count:.1%}",
        f"{tally.median_episodes:g}",
        f"{seconds:.0f}",
    )


if __name__ == "__main__":
    main()
