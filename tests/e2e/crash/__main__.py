"""`make soak`: the whole crash matrix, several times.

Prints the table; exit code 1 if anything did not hold.

python -m tests.e2e.crash [REPETITIONS] [ENV_ID] [--ray] [--s3] [--postgres]
    [--minutes N] [--seed N] [--folder DIR]
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import click

from tests.e2e.crash.matrix import PHASES, VICTIMS, Outcome, table, trial
from tests.e2e.crash.ray_system import VICTIMS as RAY_VICTIMS
from tests.e2e.crash.ray_system import RaySystem
from tests.e2e.crash.system import System
from tests.policyd_trainer.jobs.postgres import find_binaries, running
from tests.s3 import ENVIRONMENT, S3Server

LONGEST_DELAY = 0.1  # longest time in seconds from when a phase is seen until the kill


@click.command()
@click.argument("repetitions", type=click.IntRange(min=1), default=3)
@click.argument("env_id", default="CartPole-v1")
@click.option("--seed", type=click.IntRange(min=0), help="Of order, delays, trainings; default: any.")
@click.option("--ray", is_flag=True, help="Jobs on a Ray cluster: kills its nodes and its head, too.")
@click.option("--s3", is_flag=True, help="The repository on a real S3 server; with --ray checkpoints, too.")
@click.option("--postgres", is_flag=True, help="The job table in a Postgres of the run's own.")
@click.option("--cell", "wanted", multiple=True, help="VICTIM:PHASE; repeatable. Default: all.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Starts no trial after them.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keeps repository and logs here.")
def main(
    repetitions: int,
    env_id: str,
    *,
    seed: int | None,
    ray: bool,
    s3: bool,
    postgres: bool,
    wanted: tuple[str, ...],
    minutes: float | None,
    folder: Path | None,
) -> None:
    """Tries every victim at every phase, or each `--cell`, REPETITIONS times, in random order."""
    if seed is None:
        seed = random.SystemRandom().randrange(2**31)
    click.echo(f"{env_id}, {repetitions} times, seed {seed}")
    victims = RAY_VICTIMS if ray else VICTIMS
    every = {f"{victim}:{phase}": (victim, phase) for victim in victims for phase in PHASES}
    if unknown := set(wanted) - every.keys():
        raise click.BadParameter(f"no such cell: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    cells = [every[cell] for cell in wanted or every] * repetitions
    until = time.monotonic() + 60 * (minutes or math.inf)
    temporary = nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="policyd-crash-")
    with temporary as used, _system(Path(used), ray=ray, s3=s3, postgres=postgres) as system:
        outcomes = _soak(system, cells, env_id, random.Random(seed), until)
    click.echo(table(outcomes, victims))
    sys.exit(1 if any(outcome.wrong for outcome in outcomes) else 0)


def _soak(
    system: System, cells: list[tuple[str, str]], env_id: str, chance: random.Random, until: float
) -> list[Outcome]:
    """Runs trials in random order. None begins after `until`."""
    chance.shuffle(cells)
    outcomes: list[Outcome] = []
    for number, (victim, phase) in enumerate(cells, start=1):
        if time.monotonic() > until:
            break
        delay = chance.choice([0, chance.uniform(0, LONGEST_DELAY)])
        seed = chance.randrange(2**31)
        outcome = trial(system, victim, phase, delay=delay, env_id=env_id, seed=seed)
        outcomes.append(outcome)
        click.echo(f"{number}/{len(cells)} {outcome}")
    if gaps := {policy: numbers for policy, numbers in system.gaps().items() if numbers}:
        click.echo(f"numbers that are no versions: {gaps}")
    return outcomes


@contextmanager
def _system(folder: Path, *, ray: bool, s3: bool, postgres: bool) -> Iterator[System]:
    with ExitStack() as ended_last:
        store = _store(folder) if s3 else None
        if store:
            ended_last.callback(store.stop)
        location = store.location() if store else ""
        jobs = ended_last.enter_context(_database()) if postgres else ""
        system = RaySystem(folder, location, jobs) if ray else System(folder, location, jobs)
        ended_last.callback(system.close)
        yield system


@contextmanager
def _database() -> Iterator[str]:
    """Starts a Postgres, and ends it. Yields the URL of an empty database."""
    if (binaries := find_binaries()) is None:
        raise click.UsageError("no Postgres is installed (Debian: apt-get install postgresql)")
    with running(binaries) as server:
        yield server.new_database()


def _store(folder: Path) -> S3Server:
    """Starts an S3 server. Its credentials are in the environment of all processes."""
    os.environ.update(ENVIRONMENT)
    (place := folder / "s3").mkdir(parents=True, exist_ok=True)
    return S3Server(place)


if __name__ == "__main__":
    main()
