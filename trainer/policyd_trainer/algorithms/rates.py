"""Learning rates and entropy weight, which schedules change along a run."""

from __future__ import annotations

from dataclasses import dataclass

from policyd_trainer.config import TrainingConfig
from policyd_trainer.optimization.schedules import scheduled


@dataclass(frozen=True)
class Rates:
    """Learning rates and entropy weight at one moment."""

    learning_rate: float
    critic_learning_rate: float
    ent_coef: float


def rates_at(config: TrainingConfig, progress: float) -> Rates:
    """The rates at `progress` in [0, 1] of a run."""
    fraction = scheduled(config.lr_schedule, 1.0, config.lr_final_fraction, progress)
    final = config.ent_coef if config.ent_coef_final is None else config.ent_coef_final
    return Rates(
        learning_rate=config.learning_rate * fraction,
        critic_learning_rate=(config.critic_learning_rate or config.learning_rate) * fraction,
        ent_coef=scheduled("linear", config.ent_coef, final, progress),
    )
