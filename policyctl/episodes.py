"""Playing episodes: the Gymnasium environment here, the policy on the server."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_api.errors import FailedPrecondition, InvalidArgument
from policyctl.client import PolicyClient

#: Episodes that step together, one request a step.
_TOGETHER = 64


@dataclass(frozen=True)
class Play:
    """What is to be played."""

    env_id: str
    policy: str
    #: The version that answers every step.
    version: int
    episodes: int
    #: Episode i is reset with seed + i; `seed` also seeds the sampling.
    seed: int
    deterministic: bool


@dataclass(frozen=True)
class Played:
    """Undiscounted returns and lengths, in the order of the seeds."""

    version: int
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Sample standard deviation of the returns; 0 for one episode."""
        return float(np.std(self.returns, ddof=1)) if len(self.returns) > 1 else 0.0


def play(client: PolicyClient, plan: Play) -> Played:
    """Plays every episode to its end. The same plan and version give the same returns.

    Episodes step together: step t of episode i samples with row t * episodes + i, so that the
    actions do not depend on which other episodes still run.
    """
    played = Played(plan.version)
    for first in range(0, plan.episodes, _TOGETHER):
        count = min(_TOGETHER, plan.episodes - first)
        environments = [make(plan.env_id) for _ in range(count)]
        try:
            returns, lengths = _play_together(client, plan, environments, first)
        finally:
            for environment in environments:
                environment.close()
        played.returns.extend(returns.tolist())
        played.lengths.extend(lengths.tolist())
    return played


def make(env_id: str) -> Any:
    """The Gymnasium environment `EnvId` or `module:EnvId`.

    FailedPrecondition: gymnasium is not installed here. InvalidArgument: it cannot make this one.
    """
    try:
        gymnasium = importlib.import_module("gymnasium")
    except ImportError as error:
        raise FailedPrecondition(
            "playing steps the environment on this side: pip install gymnasium", reason="NO_GYMNASIUM"
        ) from error
    try:
        return gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError, AttributeError) as error:
        raise InvalidArgument.of("env", got=env_id, wanted=f"an environment here ({error})") from error


def _play_together(
    client: PolicyClient, plan: Play, environments: list[Any], first: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns and lengths [count] of episodes first, first + 1, ..."""
    count = len(environments)
    start = int(environments[0].action_space.start)
    observations = [env.reset(seed=plan.seed + first + i)[0] for i, env in enumerate(environments)]
    returns = np.zeros(count)
    lengths = np.zeros(count, dtype=np.int64)
    running = set(range(count))
    step = 0
    while running:
        answer = client.act(
            np.stack(observations),  # [count, ...]; ended episodes keep their place and last observation
            policy=plan.policy,
            version=plan.version,
            seed=plan.seed,
            first_row=step * plan.episodes + first,
            deterministic=plan.deterministic,
        )
        for i in sorted(running):
            observations[i], reward, terminated, truncated, _ = environments[i].step(
                int(answer.actions[i]) + start
            )
            returns[i] += float(reward)
            lengths[i] += 1
            if terminated or truncated:
                running.discard(i)
        step += 1
    return returns, lengths
