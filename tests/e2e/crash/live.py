"""`make live-crash`: clients play without a pause while parts of a learning system are killed.

python -m tests.e2e.crash.live [TRIALS] [--seed N] [--folder DIR]

Each trial kills the worker, the trainer, the server or everything by kill -9 and starts it again.
It waits until the job has published once more. Then every acknowledged outcome has to be in the log
once, and every version has to come from each episode before its position, once.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import click

from policy_api.v1.experience_pb2 import ExperienceConfig, SetExperienceConfigRequest
from policy_api.v1.training_pb2 import CreateTrainingJobRequest, TrainingSpec
from policyd.cli.space_text import read_spaces
from policyd.experience.configs import ExperienceConfigs
from tests.e2e.crash.bandit import POLICY, SPACES, Players, until, wrong
from tests.e2e.crash.matrix import VICTIMS
from tests.e2e.crash.system import System

LONGEST_DELAY = 1.5  # longest time in seconds before a kill
RECOVERY = 120.0  # seconds for a new version after everything runs again
SETTINGS = {"batch_steps": "256", "learning_rate": "0.001", "poll_seconds": "0.05"}


@click.command()
@click.argument("trials", type=click.IntRange(min=1), default=50)
@click.option("--seed", type=click.IntRange(min=0), help="Of victims and moments; default: any.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keeps repository and logs here.")
def main(trials: int, seed: int | None, folder: Path | None) -> None:
    """Kills TRIALS times at random moments. Exit code 1 if a condition did not hold."""
    if seed is None:
        seed = random.SystemRandom().randrange(2**31)
    click.echo(f"{trials} trials, seed {seed}")
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="policyd-live-") as used:
        failures = _soak(Path(used), trials, random.Random(seed))
    click.echo(f"{trials - failures} of {trials} trials held")
    sys.exit(1 if failures else 0)


def _soak(folder: Path, trials: int, chance: random.Random) -> int:
    """The number of trials after which a condition did not hold."""
    system, failures = System(folder), 0
    try:
        job_id = _start(system)
        with Players(system.address("server")) as players:
            for number in range(1, trials + 1):
                victim = chance.choice(VICTIMS)
                time.sleep(chance.uniform(0, LONGEST_DELAY))
                began = time.monotonic()
                system.kill(victim, job_id)
                system.restore()
                found = _recovered(system) or _settled(system, players)
                failures += bool(found)
                took, count = time.monotonic() - began, len(players.acknowledged)
                told = "; ".join(found[:3]) or "held"
                click.echo(f"{number}/{trials} {victim} ({took:.1f} s, {count} outcomes): {told}")
    finally:
        system.close()
    return failures


def _start(system: System) -> str:
    """Starts a continuous job from spaces alone, and returns its id.

    The server then serves the first version.
    """
    spaces = system.folder / "spaces.yaml"
    spaces.write_text(SPACES)
    spec = TrainingSpec(policy=POLICY, source=TrainingSpec.EXPERIENCE, settings=SETTINGS)
    spec.spaces.CopyFrom(read_spaces(spaces))
    spec.promotion.promote = True
    job = system.trainer.CreateTrainingJob(CreateTrainingJobRequest(spec=spec), timeout=60).job
    request = SetExperienceConfigRequest(policy=POLICY, config=ExperienceConfig(mode=ExperienceConfig.LEARN))
    ExperienceConfigs(system.repository.root / "experience").change(request)
    assert until(lambda: bool(system.repository.policies())), "there is no first version"
    return job.job_id


def _recovered(system: System) -> list[str]:
    """Waits for a version published after the kill. Returns what is wrong if there is none."""
    before = system.repository.aliases(POLICY).aliases["champion"]
    if until(lambda: system.repository.aliases(POLICY).aliases["champion"] > before, RECOVERY):
        return []
    return [f"no version after {before} within {RECOVERY:g} s"]


def _settled(system: System, players: Players) -> list[str]:
    """The conditions that do not hold.

    Outcomes that were acknowledged a moment ago may not be in the log yet.
    """
    found: list[str] = []

    def holds() -> bool:
        found[:] = wrong(system.repository, dict(players.acknowledged))
        return not found

    return [] if until(holds, 10) else found


if __name__ == "__main__":
    main()
