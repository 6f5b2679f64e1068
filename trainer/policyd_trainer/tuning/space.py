"""What the search tries. docs/notes/training.md holds this table for readers.

| setting | tried | how |
|---|---|---|
| gamma | 0.98 to 0.9995 | 1 - gamma, logarithmic |
| gae_lambda (a2c) | 0.85 to 0.997 | 1 - lambda, logarithmic |
| learning_rate | 3e-4 to 4e-3 | logarithmic; falls linearly to 0 |
| critic_learning_rate | 0.5 to 4 times the actor's | logarithmic |
| ent_coef | 5e-4 to 0.03 | logarithmic; falls linearly to 0 |
| n_envs, n_steps (a2c) | 4, 8, 16 and 2 to 64 | powers of two |
| n_envs (reinforce) | 1 to 16 | powers of two; as many episodes per update |
| minibatch_size | 8 to 128 (a2c), 64 to 512 or none (reinforce) | powers of two |
| baseline_lambda (reinforce) | 0.85 to 0.997 | 1 - lambda, logarithmic |
| critic_minibatch_size (reinforce) | 32 to 128, or with the actor | powers of two |
| normalize_advantages, activation | on or off, tanh or ReLU | |

Everything else is as the preset has it that a run would take (the environment's own row, or the
default, or the one for continuous actions, images or numbered states), or what the caller fixed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import optuna


def suggest(trial: optuna.Trial, algorithm: str) -> dict[str, str]:
    """The settings of one trial: names and JSON values, as `resolve_config` takes them."""
    rate = trial.suggest_float("learning_rate", 3e-4, 4e-3, log=True)
    values: dict[str, object] = {
        "gamma": 1 - trial.suggest_float("one_minus_gamma", 5e-4, 2e-2, log=True),
        "learning_rate": rate,
        "critic_learning_rate": rate * trial.suggest_float("critic_ratio", 0.5, 4.0, log=True),
        "lr_schedule": "linear",
        "ent_coef": trial.suggest_float("ent_coef", 5e-4, 3e-2, log=True),
        "ent_coef_final": 0.0,
        "normalize_advantages": trial.suggest_categorical("normalize_advantages", [True, False]),
        "activation": trial.suggest_categorical("activation", ["tanh", "relu"]),
        "candidates": 1,
    }
    values |= _a2c(trial) if algorithm == "a2c" else _reinforce(trial)
    return {name: json.dumps(value) for name, value in values.items()}


def _a2c(trial: optuna.Trial) -> Mapping[str, object]:
    return {
        "gae_lambda": 1 - trial.suggest_float("one_minus_lambda", 3e-3, 0.15, log=True),
        "n_envs": trial.suggest_categorical("n_envs", [4, 8, 16]),
        "n_steps": trial.suggest_categorical("n_steps", [2, 4, 8, 16, 32, 64]),
        "minibatch_size": trial.suggest_categorical("minibatch_size", [8, 16, 32, 64, 128]),
    }


def _reinforce(trial: optuna.Trial) -> Mapping[str, object]:
    episodes = trial.suggest_categorical("episodes_per_update", [1, 2, 4, 8, 16])
    return {
        "n_envs": episodes,
        "episodes_per_update": episodes,
        "minibatch_size": trial.suggest_categorical("minibatch_size", [None, 64, 128, 256, 512]),
        "baseline_lambda": 1 - trial.suggest_float("one_minus_lambda", 3e-3, 0.15, log=True),
        "critic_minibatch_size": trial.suggest_categorical("critic_minibatch_size", [None, 32, 64, 128]),
    }
