"""Acrobot, as Gymnasium integrates it.

Sutton 1996, with the equations of Sutton and Barto's book.

One step of 0.2 s is one step of the classic Runge-Kutta method of order 4. Masses, lengths and
moments of inertia are 1, the centres of mass lie at half the length.
"""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.arrays import Array

SECONDS, GRAVITY = 0.2, 9.8
FASTEST = (4 * pi, 9 * pi)  # highest angular velocities of the two links


class Acrobot:
    """The state is the angles of both links and their angular velocities."""

    lowest_reward, highest_reward = -1.0, 0.0
    start_numbers = 4

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._classic = compiled.classic if xp is np else None

    def start(self, generator: np.random.Generator) -> np.ndarray:
        """A first state [4]: each component between -0.1 and 0.1.

        Rounded to float32, as Gymnasium does.
        """
        return generator.uniform(-0.1, 0.1, 4).astype(np.float32).astype(np.float64)

    def start_from(self, uniforms: Array) -> Array:
        """First states [4, N] with the same distribution, from uniform numbers [4, N]."""
        return uniforms * 0.2 - 0.1

    def observe(self, state: Array) -> Array:
        """Cosine and sine of each angle, then the angular velocities [N, 6]."""
        xp = self._xp
        cosines, sines = xp.cos(state[:2]), xp.sin(state[:2])
        parts = (cosines[0], sines[0], cosines[1], sines[1], state[2], state[3])
        observed = xp.stack(parts, -1)
        return observed.astype(np.float32) if xp is np else observed.float()

    def step(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        """One step. The action is a torque of -1, 0 or 1 on the joint between the links."""
        xp = self._xp
        if self._classic is not None:
            moved, up = self._classic.acrobot_step(state, actions)
            return moved, np.where(up, 0.0, -1.0), up
        after = self._integrated(state, actions - 1.0)
        angles = _wrapped(xp, after[:2])
        first, second = (after[2].clip(-FASTEST[0], FASTEST[0]), after[3].clip(-FASTEST[1], FASTEST[1]))
        after = xp.stack((angles[0], angles[1], first, second))
        swung = -xp.cos(angles[0]) - xp.cos(angles[1] + angles[0]) > 1.0
        return after, 1.0 * swung - 1.0, swung

    def _integrated(self, state: Array, torque: Array) -> Array:
        """The classic Runge-Kutta step of order 4."""
        k1 = self._slope(state, torque)
        k2 = self._slope(state + SECONDS / 2.0 * k1, torque)
        k3 = self._slope(state + SECONDS / 2.0 * k2, torque)
        k4 = self._slope(state + SECONDS * k3, torque)
        return state + SECONDS / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)

    def _slope(self, state: Array, torque: Array) -> Array:
        """The time derivative of the state, d state / dt [4, N].

        Sutton and Barto 1998, section 11.3 of the first edition.
        """
        xp = self._xp
        angle1, angle2, spin1, spin2 = state
        cosine, sine = xp.cos(angle2), xp.sin(angle2)
        d1 = 0.25 + 1.0 * (1.0 + 0.25 + 2 * 0.5 * cosine) + 1.0 + 1.0
        d2 = 1.0 * (0.25 + 0.5 * cosine) + 1.0
        phi2 = 0.5 * GRAVITY * xp.cos(angle1 + angle2 - pi / 2.0)
        phi1 = (
            -0.5 * spin2**2 * sine
            - 2 * 0.5 * spin2 * spin1 * sine
            + (0.5 + 1.0) * GRAVITY * xp.cos(angle1 - pi / 2)
            + phi2
        )
        change2 = (torque + d2 / d1 * phi1 - 0.5 * spin1**2 * sine - phi2) / (0.25 + 1.0 - d2**2 / d1)
        change1 = -(d2 * change2 + phi1) / d1
        return xp.stack((spin1, spin2, change1, change2))


def _wrapped(xp: Any, angles: Array) -> Array:
    """Angles moved to [-pi, pi] by whole turns. A step is less than a few turns."""
    turn = pi - -pi
    if xp is not np:  # a loop would wait for the device in every step
        return angles - turn * xp.round(angles / turn)
    while bool((angles > pi).any()):
        angles = xp.where(angles > pi, angles - turn, angles)
    while bool((angles < -pi).any()):
        angles = xp.where(angles < -pi, angles + turn, angles)
    return angles
