"""Plays episodes: the Gymnasium environment runs here, the policy on the server."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_api.v1.artifact_pb2 import PolicyMetadata, Space
from policyd import masks, spaces
from policyd.client.client import PolicyClient
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.tensors import distribution_tensors
from policyd.wrappers import wrapped

#: How many episodes step together, with one request for each step.
_TOGETHER = 64


@dataclass(frozen=True)
class EpisodePlan:
    """Which episodes to play, and with what."""

    env_id: str
    policy: str
    #: The version that answers every step, and the spaces that it was trained on.
    version: int
    spaces: PolicyMetadata
    episodes: int
    #: Episode i is reset with `seed` + i. `seed` is also the seed of the sampling.
    seed: int
    deterministic: bool


@dataclass(frozen=True)
class EpisodeStats:
    """Undiscounted returns and lengths of the episodes, in the order of their seeds."""

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


def play(client: PolicyClient, plan: EpisodePlan) -> EpisodeStats:
    """Plays every episode to its end. The same plan and version give the same returns.

    Episodes step together. Step t of episode i samples with row t * episodes + i, so an episode's
    actions do not depend on which other episodes are still running.
    """
    played = EpisodeStats(plan.version)
    for first in range(0, plan.episodes, _TOGETHER):
        count = min(_TOGETHER, plan.episodes - first)
        environments = [environment(plan) for _ in range(count)]
        try:
            returns, lengths = _play_together(client, plan, environments, first)
        finally:
            for each in environments:
                each.close()
        played.returns.extend(returns.tolist())
        played.lengths.extend(lengths.tolist())
    return played


def make(env_id: str, **arguments: Any) -> Any:
    """Returns the Gymnasium environment `EnvId` or `module:EnvId`, made with these arguments.

    Raises FailedPrecondition if gymnasium is not installed, and InvalidArgument if it cannot make
    the environment.
    """
    try:
        gymnasium = importlib.import_module("gymnasium")
    except ImportError as error:
        raise FailedPrecondition(
            "play runs the environment on this machine: pip install gymnasium", reason="NO_GYMNASIUM"
        ) from error
    try:
        return gymnasium.make(env_id, **arguments)
    except (gymnasium.error.Error, ImportError, AttributeError) as error:
        raise InvalidArgument.of(
            "env", got=env_id, wanted=f"an environment that this machine can make ({error})"
        ) from error


def playable(space: Space, action: NDArray[Any]) -> Any:
    """Converts an action of the server to what the environment takes.

    Adds the space's start, and sets its shape and type.
    """
    kind = space.WhichOneof("kind")
    if kind == "box":
        numbers = np.rint(action) if np.dtype(space.box.dtype).kind in "iu" else action
        return numbers.reshape(tuple(space.box.shape)).astype(space.box.dtype)
    if kind == "multi_discrete":
        branches = space.multi_discrete
        start = np.array(branches.start or [0] * action.size)
        return (action + start).reshape(tuple(branches.shape))
    if kind == "multi_binary":
        return action.reshape(tuple(space.multi_binary.shape)).astype(np.int8)
    return int(action) + space.discrete.start


def environment(plan: EpisodePlan) -> Any:
    """Makes the environment of the plan.

    If the policy was trained in this environment, it gets the settings of that training: its
    arguments, wrappers and step limit.
    """
    if plan.env_id != plan.spaces.env_id:
        return make(plan.env_id)
    settings = {name: json.loads(value) for name, value in plan.spaces.settings.items()}
    limit = settings.get("max_episode_steps")
    limited = {} if limit is None else {"max_episode_steps": limit}
    return wrapped(
        make(plan.env_id, **settings.get("env_kwargs", {}), **limited), settings.get("wrappers", [])
    )


def allowed_actions(environment: Any, observation: Any, info: Any, width: int) -> NDArray[np.bool_]:
    """Returns the allowed actions [width]. If the environment gives no mask, all are allowed."""
    given = masks.given(environment, observation, info)
    if given is None:  # at an episode's end, for instance
        return np.ones(width, np.bool_)
    branches = given if isinstance(given, tuple | list) else [given]
    mask: NDArray[np.bool_] = np.concatenate([np.asarray(b, np.bool_).reshape(-1) for b in branches])
    return mask


def width_of(plan: EpisodePlan) -> int:
    """Returns the number of elements in the action mask of one observation."""
    width: int = next(iter(distribution_tensors(plan.spaces.distribution).values()))[0]
    return width


def _asked(
    space: Space, parts: Sequence[spaces.Leaf], observations: Sequence[Any]
) -> tuple[Any, Space | None]:
    """Returns the observations to send, and the space if they are sent in its own types.

    The space's own types are used if that takes fewer bytes, as for images. Otherwise the
    observations are float32 rows [N, D].
    """
    columns = sum(part.size for part in parts)
    if spaces.typed_row(parts).itemsize < 4 * columns and spaces.are_typed(parts, observations):
        return observations, space
    return np.stack([spaces.flatten(parts, observation) for observation in observations]), None


def _play_together(
    client: PolicyClient, plan: EpisodePlan, environments: list[Any], first: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Plays episodes first, first + 1, ...; returns their returns and lengths [count]."""
    count = len(environments)
    parts = spaces.leaves(plan.spaces.observation_space)
    starts = [env.reset(seed=plan.seed + first + i) for i, env in enumerate(environments)]
    observations = [observation for observation, _ in starts]
    width = width_of(plan)
    has_mask = plan.spaces.has_action_mask
    allowed = [np.ones(width, np.bool_)] * count  # [count, width]
    if has_mask:
        allowed = [
            allowed_actions(env, observation, info, width)
            for env, (observation, info) in zip(environments, starts, strict=True)
        ]
    returns = np.zeros(count)
    lengths = np.zeros(count, dtype=np.int64)
    running = set(range(count))
    step = 0
    while running:
        asked, space = _asked(plan.spaces.observation_space, parts, observations)
        answer = client.act(
            asked,  # [count, ...]; an episode that has ended keeps its row and its last observation
            space=space,
            policy=plan.policy,
            version=plan.version,
            seed=plan.seed,
            first_row=step * plan.episodes + first,
            deterministic=plan.deterministic,
            action_mask=np.stack(allowed) if has_mask else None,
        )
        for i in sorted(running):
            action = playable(plan.spaces.action_space, answer.actions[i])
            observations[i], reward, terminated, truncated, info = environments[i].step(action)
            if has_mask:
                allowed[i] = allowed_actions(environments[i], observations[i], info, width)
            returns[i] += float(reward)
            lengths[i] += 1
            if terminated or truncated:
                running.discard(i)
        step += 1
    return returns, lengths
