"""Rollouts of classic control in one compiled call: acting, stepping and storing without Python.

A step of 16 environments is some microseconds of arithmetic; ten calls from Python around it were
most of a rollout's time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.environments.forms.acrobot import Acrobot
from policyd_trainer.environments.forms.cartpole import CartPole
from policyd_trainer.environments.interface import Environments
from policyd_trainer.environments.vectors import VectorEnvironments
from policyd_trainer.rollouts.buffer import RolloutBuffer
from policyd_trainer.rollouts.policy import ActingPolicy

EQUATIONS: Mapping[type, str] = {CartPole: "cartpole", Acrobot: "acrobot"}


def collect_compiled(
    environments: Environments, policy: ActingPolicy, noise: np.ndarray, buffer: RolloutBuffer
) -> bool:
    """Acts with noise [T, N] in compiled code from the buffer's first observations on.

    Fills the buffer. Returns False, and does nothing, if there is no compiled code for this case.
    The numbers equal those of single steps, to rounding.
    """
    if not compiled.AVAILABLE or not isinstance(environments, VectorEnvironments):
        return False
    equations, actor, scaling = EQUATIONS.get(type(environments.form)), policy.network, policy.scaling
    if equations is None or not isinstance(policy.distribution, Categorical):
        return False
    if not isinstance(actor, compiled.perceptron.Perceptron) or policy.outputs != actor.outputs:
        return False
    if scaling is not None and not isinstance(scaling.limit, float):
        return False
    compiled.collecting.collect(actor, equations, scaling, noise, environments.running(), buffer)
    return True
