"""The study on disk: made, or taken up where it was left."""

from __future__ import annotations

from pathlib import Path

import optuna

from trainer.tuning.trials import REPORTS, Task, objective


def open_study(path: Path, task: Task) -> optuna.Study:
    """The study of this environment and algorithm in an SQLite file; resumed where it is there.

    Pruning: a trial whose training return is under the median of the others at the same part of the
    run stops, after a third of it at the earliest (returns rise late in tasks like LunarLander).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=f"{task.env_id} {task.algorithm}",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=REPORTS // 3),
    )


def search(study: optuna.Study, task: Task, *, trials: int, timeout: float | None) -> None:
    """Runs more trials. The file has what was found after each; one that raised counts as failed."""
    study.optimize(lambda trial: objective(task, trial), n_trials=trials, timeout=timeout)
