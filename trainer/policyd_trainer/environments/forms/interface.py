"""What an environment must offer so that its episodes are stepped as vectors.

An environment offers its form as the attribute `vector_form` of its class:

    class MyEnv(gym.Env):
        vector_form = MyForm      # called as MyForm(numpy) or MyForm(torch)

The form must give the same numbers as the environment for the same seeds and actions: evaluation
and the gate promise that episode i is the one that a client gets by `reset(seed=first + i)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from policyd_trainer.arrays import Array


class VectorForm(Protocol):
    """The equations of an environment. It keeps no state and knows no time limit.

    States are [S, N]: component s of episode n is `state[s, n]`.
    """

    lowest_reward: float  # lowest reward of a step; -inf: no bound
    highest_reward: float  # highest reward of a step; inf: no bound

    def start(self, generator: np.random.Generator) -> np.ndarray:
        """The first state [S] of an episode, drawn as the environment's `reset` draws it."""

    def observe(self, state: Array) -> Array:
        """Observations [N, D] float32 of states [S, N]."""

    def step(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        """One step with the environment's actions [N, ...].

        Returns the next states [S, N], the rewards [N], and whether the task's own rule ended the
        episode [N].
        """


class DeviceForm(VectorForm, Protocol):
    """A form whose first states come from uniform numbers, so that whole batches restart on a GPU.

    `step` and `observe` must not look at a tensor's numbers on the host (no `bool(tensor)`, no
    `tensor.item()`), because the trainer records them in a CUDA graph.
    """

    start_numbers: int  # K, the number of uniform numbers that make a first state

    def start_from(self, uniforms: Array) -> Array:
        """First states [S, N] from numbers [K, N] in [0, 1), with the distribution of `start`."""


FormFactory = Callable[[Any], VectorForm]  # takes the module numpy or torch
