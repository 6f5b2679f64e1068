"""Pendulum with Gymnasium's constants: swing up, and stay there with little torque."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from policyd_trainer.arrays import Array

GRAVITY, SECONDS, FASTEST, STRONGEST = 10.0, 0.05, 8.0, 2.0


class Pendulum:
    """The state is angle and angular velocity."""

    lowest_reward, highest_reward = -(math.pi**2 + 0.1 * FASTEST**2 + 0.001 * STRONGEST**2), 0.0
    start_numbers = 2

    def __init__(self, xp: Any) -> None:
        self._xp = xp

    def start(self, generator: np.random.Generator) -> np.ndarray:
        """A first state [2]: any angle, and an angular velocity between -1 and 1."""
        high = np.array([math.pi, 1.0])
        return generator.uniform(-high, high)

    def start_from(self, uniforms: Array) -> Array:
        """First states [2, N] with the same distribution, from uniform numbers [2, N]."""
        centred = 2.0 * uniforms - 1.0
        return self._xp.stack((centred[0] * math.pi, centred[1]))

    def observe(self, state: Array) -> Array:
        """Cosine and sine of the angle, and the angular velocity [N, 3]."""
        xp = self._xp
        observed = xp.stack((xp.cos(state[0]), xp.sin(state[0]), state[1]), -1)
        return observed.astype(np.float32) if xp is np else observed.float()

    def step(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        """One step. The actions are torques [N, 1], clipped to [-2, 2]."""
        xp = self._xp
        angle, spin = state
        torque = actions.clip(-STRONGEST, STRONGEST)[:, 0]
        costs = _normalized(angle) ** 2 + 0.1 * spin**2 + 0.001 * (torque**2)
        spin = spin + (3 * GRAVITY / 2 * xp.sin(angle) + 3.0 * torque) * SECONDS
        spin = spin.clip(-FASTEST, FASTEST)
        return xp.stack((angle + spin * SECONDS, spin)), -costs, xp.zeros_like(angle, dtype=bool)


def _normalized(angle: Array) -> Array:
    """The same angle within [-pi, pi)."""
    return ((angle + math.pi) % (2 * math.pi)) - math.pi
