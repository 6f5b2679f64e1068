"""The study on disk: made, or taken up where it was left."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState

from policyd_trainer.tuning.trials import REPORTS, Task, objective


def open_study(path: Path, task: Task) -> optuna.Study:
    """The study of this environment and algorithm in an SQLite file; resumed where it is there.

    Pruning: a trial whose training return is under the median of the others at the same part of the
    run stops, after a third of it at the earliest (returns rise late in tasks like LunarLander).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=f"{task.env_id} {task.algorithm}",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=REPORTS // 3),
    )
    # Another seed each time: the same one would begin with the same random trials again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    return study


def finished(study: optuna.Study) -> int:
    """Trials that ran to their end or were pruned; not those that an interruption cut off."""
    return len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def search(study: optuna.Study, task: Task, *, trials: int, timeout: float | None) -> None:
    """Runs trials until the study has so many finished ones.

    The file has what was found after each; one that raised counts as failed, and another takes its
    place.
    """
    missing = trials - finished(study)
    if missing > 0:
        study.optimize(lambda trial: objective(task, trial), n_trials=missing, timeout=timeout)
