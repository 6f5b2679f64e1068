"""The presets as data. Each row says where its values came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Settings that differ from the defaults of TrainingConfig."""

    source: str  # where the values came from
    settings: Mapping[str, object]


COURSE: Mapping[str, Preset] = {
    "reinforce": Preset(
        source="the course: one episode an update, the loss -R_tau * sum_t log pi(a_t|s_t)",
        settings={"loss_reduction": "episode_sum", "truncation": "terminate"},
    ),
    "a2c": Preset(
        source="the course: one step of one environment an update, lambda 0, gradient through the target",
        settings={"truncation": "terminate", "critic_gradient": "full"},
    ),
}

DEFAULT: Mapping[str, Preset] = {
    "reinforce": Preset(
        source="reward-to-go with a learned baseline, the textbook's strongest form; sizes by prototype",
        settings={
            "total_timesteps": 500_000,
            "n_envs": 8,
            "episodes_per_update": 8,
            "returns": "reward_to_go",
            "baseline": "value",
            "normalize_observations": True,
            "normalize_rewards": True,
            "normalize_advantages": True,
            "learning_rate": 3e-3,
            "lr_schedule": "linear",
            "max_grad_norm": 0.5,
            "critic_hidden_sizes": [64, 64],
            "candidates": 10,
        },
    ),
    "a2c": Preset(
        source="rl-zoo's and rl-algo-impls' settings for LunarLander, between them",
        settings={
            "total_timesteps": 500_000,
            "n_envs": 16,
            "n_steps": 8,
            "gae_lambda": 0.95,
            "normalize_observations": True,
            "normalize_rewards": True,
            "normalize_advantages": True,
            "ent_coef": 0.01,
            "ent_coef_final": 0.0,
            "learning_rate": 1e-3,
            "lr_schedule": "linear",
            "max_grad_norm": 0.5,
            "activation": "tanh",
            "initialization": "orthogonal",
            "critic_hidden_sizes": [64, 64],
            "candidates": 10,
        },
    ),
}

TUNED: Mapping[tuple[str, str], Preset] = {
    ("CartPole-v1", "reinforce"): Preset(
        source="prototype, seeds 0-5 (docs/training.md): whole batches, for stale minibatches collapse",
        settings={
            "total_timesteps": 200_000,
            "n_envs": 8,
            "episodes_per_update": 8,
            "gamma": 0.99,
            "returns": "reward_to_go",
            "baseline": "value",
            "normalize_observations": True,
            "normalize_rewards": True,
            "normalize_advantages": True,
            "vf_coef": 0.5,
            "optimizer_eps": 1e-5,
            "learning_rate": 3e-3,
            "lr_schedule": "linear",
            "max_grad_norm": 0.5,
            "activation": "tanh",
            "initialization": "orthogonal",
            "critic_hidden_sizes": [64, 64],
            "candidates": 10,
        },
    ),
    ("CartPole-v1", "a2c"): Preset(
        source="prototype, seeds 0-5 (docs/training.md): scaled rewards and observations stay solved",
        settings={
            "total_timesteps": 200_000,
            "n_envs": 16,
            "n_steps": 16,
            "minibatch_size": 64,
            "gamma": 0.99,
            "gae_lambda": 0.98,
            "normalize_observations": True,
            "normalize_rewards": True,
            "normalize_advantages": True,
            "vf_coef": 0.5,
            "optimizer_eps": 1e-5,
            "learning_rate": 1.4e-3,
            "lr_schedule": "linear",
            "max_grad_norm": 0.5,
            "activation": "tanh",
            "initialization": "orthogonal",
            "critic_hidden_sizes": [64, 64],
            "candidates": 10,
        },
    ),
    ("LunarLander-v3", "a2c"): Preset(
        source="prototype, seeds 10-22 (docs/training.md): long returns end the hovering",
        settings={
            "total_timesteps": 1_500_000,
            "n_envs": 16,
            "n_steps": 32,
            "minibatch_size": 32,
            "gamma": 0.999,
            "gae_lambda": 0.98,
            "normalize_observations": True,
            "normalize_rewards": True,
            "normalize_advantages": True,
            "ent_coef": 0.01,
            "ent_coef_final": 0.0,
            "vf_coef": 0.5,
            "optimizer_eps": 1e-5,
            "learning_rate": 1e-3,
            "lr_schedule": "linear",
            "max_grad_norm": 0.5,
            "activation": "tanh",
            "initialization": "orthogonal",
            "critic_hidden_sizes": [64, 64],
            "ema_decay": 0.98,
            "candidates": 20,
        },
    ),
}
