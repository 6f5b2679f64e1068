"""One trial: a run with suggested settings, pruned along the way.

It is worth what its last policy returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import optuna

from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.algorithms.learner import Diverged
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import EnvironmentInfo, inspect
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.selection import Snapshot
from policyd_trainer.runs.fitting import fitted
from policyd_trainer.tuning.space import suggest

REPORTS = 20  # how often along a run a trial may be pruned
TUNING_SEEDS = 100  # trials use smaller seeds; presets are evaluated on seeds from 1000 on


@dataclass(frozen=True)
class Task:
    """The task that settings are searched for."""

    env_id: str
    algorithm: str
    settings: Mapping[str, str]  # set by the caller, and override the preset


def objective(task: Task, trial: optuna.Trial) -> float:
    """The smaller of the greedy and the sampled mean return at the end of the run.

    Raises:
        optuna.TrialPruned: the run is behind, or diverged.
    """
    settings = {**suggest(trial, task.algorithm), **task.settings}
    config = resolve_config("tuning", task.env_id, task.algorithm, trial.number % TUNING_SEEDS, settings)
    with Watchdog(config.step_timeout, config.env_id):
        config = fitted(config, settings)
        trial.set_user_attr("settings", config.settings())
        return _worth(config, trial)


def _worth(config: TrainingConfig, trial: optuna.Trial) -> float:
    info = inspect(config)
    loop = start(config, info)
    try:
        _learn(loop, trial)
        return _score(loop, info)
    except Diverged as error:
        raise optuna.TrialPruned(str(error)) from error
    finally:
        loop.collector.close()


def _learn(loop: TrainingLoop, trial: optuna.Trial) -> None:
    reported = 0
    for _ in loop.run():
        due = int(loop.progress * REPORTS)
        if due == reported or loop.episodes.mean_return is None:
            continue
        reported = due
        trial.report(loop.episodes.mean_return, due)
        if trial.should_prune():
            raise optuna.TrialPruned


def _score(loop: TrainingLoop, info: EnvironmentInfo) -> float:
    config = loop.config
    evaluator = Evaluator(config, info, network_specs(config, info.encoder.layout, info.codec.distribution))
    last = Snapshot(loop.counters.env_steps, loop.acting.export_parameters(), None, loop.moments)
    try:
        return evaluator.score(last, "tuning", config.selection_episodes)
    finally:
        evaluator.close()
