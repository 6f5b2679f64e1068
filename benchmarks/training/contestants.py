"""Who takes part, on what, and how each process is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contestant:
    """A learner that runs in a process of its own."""

    module: str  # runs with `python -m`
    algorithm: str
    peer: bool  # whether it runs in the peers' environment
    env_ids: tuple[str, ...] = ()  # tasks that it can learn; (): all


@dataclass(frozen=True)
class Task:
    """An environment, and the return at which it counts as solved."""

    env_id: str
    threshold: float  # mean return of the scoring episodes, with sampled actions
    gap: float  # least seconds between snapshots
    growth: float  # least time between snapshots, as a share of the learning time so far


CONTESTANTS: Mapping[str, Contestant] = {
    "policyd A2C": Contestant("benchmarks.training.ours", "a2c", peer=False),
    "policyd REINFORCE": Contestant("benchmarks.training.ours", "reinforce", peer=False),
    "SB3 A2C": Contestant("benchmarks.training.peer_sb3", "a2c", peer=True),
    "JAX A2C": Contestant("benchmarks.training.peer_jax", "a2c", peer=True, env_ids=("CartPole-v1",)),
    "tianshou A2C": Contestant("benchmarks.training.peer_tianshou", "a2c", peer=True),
    "tianshou Reinforce": Contestant("benchmarks.training.peer_tianshou", "reinforce", peer=True),
}

TASKS: Mapping[str, Task] = {
    "CartPole-v1": Task("CartPole-v1", threshold=475, gap=0.05, growth=0.05),
    "LunarLander-v3": Task("LunarLander-v3", threshold=200, gap=2.0, growth=0.08),
}
