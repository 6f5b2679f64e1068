"""Every kind of space is learned to its known optimum.

No network, density or mask stands in the way.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect, make_seeded
from policyd_trainer.evaluation.episodes import play
from policyd_trainer.runs.fitting import fitted
from tests.policyd_trainer import kinds

pytestmark = pytest.mark.long

#: The reward does not depend on earlier steps, so a discount of 0 is best.
BANDIT = {"gamma": "0", "gae_lambda": "0", "n_envs": "16", "n_steps": "8", "minibatch_size": "32"}
STEPS = 10_000
NORMALIZED = {"normalize_advantages": "true"}
QUICK = {"total_timesteps": "16000", "n_envs": "8", "learning_rate": "2e-3"}
LONGER = {"total_timesteps": "20000"}
#: The reward is a mean of two. Without more entropy, one branch may become certain of a wrong
#: action.
CURIOUS = {**LONGER, "ent_coef": "0.1"}

NARROW = {"log_std_init": "-1"}
EXPLORED = {"use_sde": "true"}
CASES: dict[str, tuple[str, str, dict[str, str]]] = {
    **{
        f"discrete-{shown}": ("discrete", shown, {})
        for shown in ("vector", "choice", "tuple", "dict", "image")
    },
    "discrete-bright": ("discrete", "bright", QUICK),
    "branches": ("branches", "vector", CURIOUS),
    "bits": ("bits", "vector", LONGER),
    "branches-mixed": ("branches", "mixed", {**CURIOUS, **NORMALIZED}),
    "clipped": ("box", "vector", {"use_sde": "false", **NARROW}),
    "squashed": ("box", "vector", {"use_sde": "false", "squash": "tanh", **NARROW}),
    "box": ("box", "vector", {}),
    "explored": ("box", "vector", {**EXPLORED, "log_std_init": "-2"}),
    "explored-squashed": ("box", "vector", {**EXPLORED, "squash": "tanh", "log_std_init": "-2.5"}),
    "whole": ("whole", "dict", {"use_sde": "false", **NARROW}),
    "masked-discrete": ("discrete", "choice", {"masked": "true"}),
    "masked-branches": ("branches", "choice", {"masked": "true"}),
    "masked-bits": ("bits", "choice", {"masked": "true"}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_optimum_is_reached(case: str) -> None:
    """After a short run, greedy episodes have 94% of the largest possible return.

    A short run has at most 20,000 steps.
    """
    actions, observations, settings = CASES[case]
    arguments = {"actions": actions, "observations": observations, "masked": "masked" in settings}
    chosen = {name: value for name, value in settings.items() if name != "masked"}
    chosen = {**BANDIT, "total_timesteps": str(STEPS), "env_kwargs": json.dumps(arguments), **chosen}
    config = fitted(resolve_config("p", "Kinds-v0", "a2c", 0, chosen), chosen)
    info = inspect(config)
    loop = start(config, info)
    for _ in loop.run():
        if (loop.episodes.mean_return or 0.0) > 0.97 * kinds.LENGTH:
            break
    loop.collector.close()
    environments = make_seeded(config, info, range(100, 120))
    policy = loop.acting.policy(loop.scaling())
    played = play(environments, policy, 0, deterministic=True, step_limit=kinds.LENGTH)
    environments.close()
    assert np.mean(played.returns) >= 0.94 * kinds.LENGTH
