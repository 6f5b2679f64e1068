"""The limit: environment steps a second with random actions and no learning."""

from __future__ import annotations

import time

import numpy as np

from trainer.config import resolve_config
from trainer.environments.make import inspect, make_environments


def env_steps_per_second(env_id: str, algorithm: str, seconds: float = 2.0) -> float:
    """Of as many environments, made in the same way, as the preset uses."""
    config = resolve_config("benchmark", env_id, algorithm, 0, {})
    info = inspect(config)
    environments = make_environments(config, info, config.n_envs)
    environments.reset(0)
    rng = np.random.default_rng(0)
    noise = rng.random((4096, config.n_envs, *info.codec.distribution.noise_shape))
    actions = info.codec.distribution.outputs  # number of actions of a discrete space
    steps, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        environments.step((noise[steps % len(noise)].reshape(config.n_envs) * actions).astype(np.int64))
        steps += 1
    environments.close()
    return steps * config.n_envs / elapsed
