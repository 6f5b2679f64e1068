"""The limit: environment steps a second with random actions and no learning."""

from __future__ import annotations

import time

import numpy as np

from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect, make_environments


def env_steps_per_second(env_id: str, algorithm: str, seconds: float = 2.0) -> float:
    """Environment steps per second without learning.

    It uses as many environments as the preset, made in the same way.
    """
    config = resolve_config("benchmark", env_id, algorithm, 0, {})
    info = inspect(config)
    environments = make_environments(config, info, config.n_envs)
    environments.reset(0)
    rng = np.random.default_rng(0)
    distribution = info.codec.distribution
    outputs = np.zeros((config.n_envs, distribution.outputs), np.float32)  # all actions are equally probable
    noise = distribution.noise(rng, 1024, config.n_envs)
    actions = [distribution.sample(outputs, step_noise) for step_noise in noise]
    steps, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        environments.step(actions[steps % len(actions)])
        steps += 1
    environments.close()
    return steps * config.n_envs / elapsed
