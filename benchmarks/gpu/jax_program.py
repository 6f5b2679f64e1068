"""The same A2C as one jitted JAX program (benchmarks/training/peer_jax.py), where JAX is there."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from benchmarks.gpu.measure import speed


def jax_speed(n_envs: int, n_steps: int, minibatches: int, seconds: float) -> float:
    """Environment steps per second of CartPole on JAX's default device.

    Raises:
        ImportError: jax, gymnax or optax is missing.
    """
    jax: Any = importlib.import_module("jax")
    peer: Any = importlib.import_module("benchmarks.training.peer_jax")
    peer.STEPS, peer.CALL = n_steps, 1
    peer.MINIBATCH = n_envs * n_steps // minibatches
    arguments: Any = importlib.import_module("benchmarks.training.arguments")
    run = arguments.Run.__new__(arguments.Run)
    for name, value in {"env_id": "CartPole-v1", "seed": 0, "steps": 2**40}.items():
        object.__setattr__(run, name, value)
    compiled, carry = peer.start(run, n_envs)
    held = [carry]

    def call() -> None:
        held[0] = jax.block_until_ready(compiled(held[0]))

    return speed(call, n_envs * n_steps, torch.device("cpu"), seconds)
