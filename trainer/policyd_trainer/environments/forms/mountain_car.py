"""MountainCar: Moore 1990, with Gymnasium's constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from policyd_trainer.arrays import Array

LEFT, RIGHT, GOAL, FASTEST = -1.2, 0.6, 0.5, 0.07
FORCE, GRAVITY = 0.001, 0.0025


class MountainCar:
    """The state is position and velocity."""

    lowest_reward = highest_reward = -1.0
    start_numbers = 1

    def __init__(self, xp: Any) -> None:
        self._xp = xp

    def start(self, generator: np.random.Generator) -> np.ndarray:
        """A first state [2]: at rest between -0.6 and -0.4."""
        return np.array([generator.uniform(-0.6, -0.4), 0.0])

    def start_from(self, uniforms: Array) -> Array:
        """First states [2, N] with the same distribution, from uniform numbers [1, N]."""
        position = uniforms[0] * 0.2 - 0.6
        return self._xp.stack((position, self._xp.zeros_like(position)))

    def observe(self, state: Array) -> Array:
        """The observation is the state itself [N, 2]."""
        return state.T.astype(np.float32) if self._xp is np else state.T.float()

    def step(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        """One step. The action accelerates to the left (0), not at all (1) or to the right (2)."""
        xp = self._xp
        position, velocity = state
        velocity = velocity + ((actions - 1) * FORCE + xp.cos(3 * position) * (-GRAVITY))
        velocity = velocity.clip(-FASTEST, FASTEST)
        position = (position + velocity).clip(LEFT, RIGHT)
        velocity = xp.where((position == LEFT) & (velocity < 0), xp.zeros_like(velocity), velocity)
        arrived = (position >= GOAL) & (velocity >= 0)
        return xp.stack((position, velocity)), -xp.ones_like(position), arrived
