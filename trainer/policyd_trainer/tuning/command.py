"""`policyd-trainer tune`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import optuna

from policyd.errors import InvalidArgument, PolicydError
from policyd.runtime.commands import refusal
from policyd_trainer.runs.options import parse_settings
from policyd_trainer.tuning.study import finished, open_study, search
from policyd_trainer.tuning.trials import Task

INTERRUPTED = 130  # exit code after SIGINT


@click.command(context_settings={"show_default": True})
@click.option("--env", "env_id", required=True, help="`EnvId` or `module:EnvId`.")
@click.option(
    "--algorithm", type=click.Choice(["a2c", "reinforce"]), help="Learning algorithm.", default="a2c"
)
@click.option(
    "--study",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("var/tuning.db"),
    envvar="POLICYD_TUNING_STUDY",
    help="SQLite file; a study in it goes on.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=50,
    help="Finished trials of the study, earlier ones included.",
)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds; no trial starts after it.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting that is not searched.")
def tune(
    env_id: str, algorithm: str, path: Path, trials: int, timeout: float | None, pairs: tuple[str, ...]
) -> None:
    """Search for good settings of an algorithm on an environment.

    Prints the best settings. Training uses the seeds 0 to 99 only. After an interruption the same
    command continues: finished trials count, and the interrupted one is repeated.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # an interruption is not worth a warning
    try:
        task = Task(env_id, algorithm, parse_settings(pairs))
    except InvalidArgument as error:
        raise click.UsageError(error.message) from error
    study = open_study(path, task)
    try:
        search(study, task, trials=trials, timeout=timeout)
    except PolicydError as error:
        raise refusal(error) from error
    except KeyboardInterrupt:
        click.echo(_summary(study))
        click.echo("interrupted; the same command goes on", err=True)
        sys.exit(INTERRUPTED)
    click.echo(_summary(study))


def _summary(study: optuna.Study) -> str:
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    count = finished(study)
    if not complete:
        return json.dumps({"study": study.study_name, "trials": count, "best": None})
    best = study.best_trial
    settings = {name: json.loads(text) for name, text in best.user_attrs["settings"].items()}
    return json.dumps(
        {
            "study": study.study_name,
            "trials": count,
            "pruned": count - len(complete),
            "best": {"return": best.value, "trial": best.number, "settings": settings},
        },
        indent=1,
    )
