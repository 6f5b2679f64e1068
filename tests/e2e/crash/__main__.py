"""`make soak`: the whole crash matrix, several times. Prints the table; exit code 1 if anything did not hold.

python -m tests.e2e.crash [REPETITIONS] [ENV_ID] [--seed N] [--folder DIR]
"""

from __future__ import annotations

import random
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click

from tests.e2e.crash.matrix import PHASES, VICTIMS, Outcome, table, trial
from tests.e2e.crash.system import System

LONGEST_DELAY = 0.1  # seconds between the sight of a phase and the kill


@click.command()
@click.argument("repetitions", type=click.IntRange(min=1), default=3)
@click.argument("env_id", default="CartPole-v1")
@click.option("--seed", type=click.IntRange(min=0), help="Of order, delays, trainings; default: any.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keeps repository and logs here.")
def main(repetitions: int, env_id: str, seed: int | None, folder: Path | None) -> None:
    """Every victim at every phase, REPETITIONS times each, in random order."""
    if seed is None:
        seed = random.SystemRandom().randrange(2**31)
    click.echo(f"{env_id}, {repetitions} times, seed {seed}")
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="policyd-crash-") as used:
        outcomes = _soak(Path(used), repetitions, env_id, random.Random(seed))
    click.echo(table(outcomes))
    sys.exit(1 if any(outcome.wrong for outcome in outcomes) else 0)


def _soak(folder: Path, repetitions: int, env_id: str, chance: random.Random) -> list[Outcome]:
    cells = [(victim, phase) for victim in VICTIMS for phase in PHASES] * repetitions
    chance.shuffle(cells)
    outcomes = []
    system = System(folder)
    try:
        for number, (victim, phase) in enumerate(cells, start=1):
            delay = chance.choice([0, chance.uniform(0, LONGEST_DELAY)])
            seed = chance.randrange(2**31)
            outcome = trial(system, victim, phase, delay=delay, env_id=env_id, seed=seed)
            outcomes.append(outcome)
            click.echo(f"{number}/{len(cells)} {outcome}")
    finally:
        system.close()
    return outcomes


if __name__ == "__main__":
    main()
