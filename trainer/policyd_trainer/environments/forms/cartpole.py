"""CartPole: Barto, Sutton and Anderson 1983, with Gymnasium's constants and Euler's integration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.arrays import Array

GRAVITY, MASS_POLE, MASS, HALF_LENGTH = 9.8, 0.1, 0.1 + 1.0, 0.5
FORCE, SECONDS = 10.0, 0.02  # of a push; of a step, in seconds
LARGEST_X, LARGEST_ANGLE = 2.4, 12 * 2 * math.pi / 360
POLE_MOMENT = MASS_POLE * HALF_LENGTH


class CartPole:
    """The state is position, velocity, angle and angular velocity."""

    lowest_reward = highest_reward = 1.0
    start_numbers = 4

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._ones = np.ones(0)  # [N], rewards
        self._classic = compiled.classic if xp is np else None

    def start(self, generator: np.random.Generator) -> np.ndarray:
        """A first state [4]: each component between -0.05 and 0.05."""
        return generator.uniform(-0.05, 0.05, 4)

    def start_from(self, uniforms: Array) -> Array:
        """First states [4, N] with the same distribution, from uniform numbers [4, N]."""
        return uniforms * 0.1 - 0.05

    def observe(self, state: Array) -> Array:
        """The observation is the state itself [N, 4]."""
        return _float32(self._xp, state.T)

    def step(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        """One step. The action pushes the cart to the left (0) or to the right (1)."""
        xp = self._xp
        if self._classic is not None:
            moved, down = self._classic.cartpole_step(state, actions)
            if len(self._ones) != len(down):
                self._ones = np.ones(len(down))
            return moved, self._ones, down
        x, velocity, angle, spin = state
        cosine, sine = xp.cos(angle), xp.sin(angle)
        force = (2.0 * actions - 1.0) * FORCE
        push = (force + POLE_MOMENT * xp.square(spin) * sine) / MASS
        inertia = HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * xp.square(cosine) / MASS)
        spin_change = (GRAVITY * sine - cosine * push) / inertia
        velocity_change = push - POLE_MOMENT * spin_change * cosine / MASS
        after = xp.stack(
            (
                x + SECONDS * velocity,
                velocity + SECONDS * velocity_change,
                angle + SECONDS * spin,
                spin + SECONDS * spin_change,
            )
        )
        fallen = (abs(after[0]) > LARGEST_X) | (abs(after[2]) > LARGEST_ANGLE)
        return after, xp.ones_like(x), fallen


def _float32(xp: Any, array: Array) -> Array:
    return array.astype(np.float32) if xp is np else array.float()
