"""The study on disk: made, or taken up where it was left."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState

from policyd_trainer.tuning.trials import REPORTS, Task, objective


def open_study(path: Path, task: Task) -> optuna.Study:
    """The study of this environment and algorithm in an SQLite file; an existing one is resumed.

    Pruning: a trial stops if its training return is below the median of the others at the same part
    of the run, but not in the first third (returns rise late in tasks like LunarLander).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=f"{task.env_id} {task.algorithm}",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=REPORTS // 3),
    )
    # A new seed each time: with the same seed, the same random trials would come again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    return study


def finished(study: optuna.Study) -> int:
    """The number of trials that ended or were pruned. Those that were interrupted do not count."""
    return len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def search(study: optuna.Study, task: Task, *, trials: int, timeout: float | None) -> None:
    """Runs trials until the study has `trials` finished ones.

    Each trial is stored in the file when it ends. A trial that raised counts as failed, and another
    one replaces it.
    """
    missing = trials - finished(study)
    if missing > 0:
        study.optimize(lambda trial: objective(task, trial), n_trials=missing, timeout=timeout)
