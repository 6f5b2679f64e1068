"""Steps to learn from, [S, B, ...], and their division into minibatches."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from policyd.errors import InvalidArgument
from policyd_trainer.device.streams import Purpose, Streams


@dataclass(frozen=True)
class DeviceBatch:
    """A rollout's steps of each member, flat; step t of environment n is at t N + n."""

    observations: Tensor  # [S, B, D], as they came
    actions: Tensor  # [S, B, *action_shape]
    advantages: Tensor  # [S, B]
    values: Tensor  # V(s_t) before the update [S, B]
    value_targets: Tensor  # [S, B]
    old_log_probs: Tensor | None = None  # [S, B]; only with a clip range
    weights: Tensor | None = None  # 1.0 where a step counts [S, B]; None: all do

    def __len__(self) -> int:
        return self.advantages.shape[1]

    def take(self, places: Tensor) -> DeviceBatch:
        """The steps at `places` [S, m] of each member."""
        members = torch.arange(len(places), device=places.device)[:, None]
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {n: None if p is None else p[members, places] for n, p in parts.items()}
        return DeviceBatch(**taken)


@dataclass(frozen=True)
class Division:
    """How B = T N steps become minibatches of one size, the same in any number of processes.

    The environments are in groups of E, the fewest whose T E steps go into K equal parts. Each
    epoch deals a group's steps at random to the K minibatches. So which steps learn together does
    not depend on how the environments are shared among processes, as long as no group is torn.
    """

    steps: int  # T
    n_envs: int  # N, in this process
    minibatches: int  # K

    @property
    def group(self) -> int:
        """E: environments whose steps are dealt together."""
        return self.minibatches // math.gcd(self.steps, self.minibatches)

    @classmethod
    def of(cls, steps: int, n_envs: int, processes: int, minibatch_size: int | None, name: str) -> Division:
        """For `n_envs` environments in all processes together.

        Raises:
            InvalidArgument: naming the setting, where the steps cannot be dealt evenly.
        """
        total = steps * n_envs
        size = min(minibatch_size or total, total)
        count, rest = divmod(total, size)
        division = cls(steps, n_envs // processes, count)
        if rest or n_envs % processes or division.n_envs % division.group:
            wanted = f"a divisor of the {total} steps of a rollout"
            if processes > 1:
                wanted += f", and n_envs ({n_envs}) that {processes} devices share evenly with it"
            raise InvalidArgument.of(f"settings[{name}]", got=minibatch_size, wanted=wanted)
        return division

    def places(self, streams: Streams, members: int, epoch: int) -> list[Tensor]:
        """For each minibatch the places [S, B / K] of its steps."""
        steps, group, count = self.steps, self.group, self.minibatches
        keys = streams.uniforms(Purpose.ORDER + epoch, steps, 1)  # [T, 1, S N]
        grouped = keys.reshape(steps, members, self.n_envs // group, group).permute(1, 2, 3, 0)
        order = grouped.flatten(2).argsort(dim=2)  # [S, G, E T]: an environment's steps stand together
        env, step = order // steps, order % steps
        first = torch.arange(self.n_envs // group, device=order.device)[None, :, None] * group
        places = (step * self.n_envs + first + env).unflatten(2, (count, -1))  # [S, G, K, E T / K]
        return list(places.transpose(1, 2).flatten(2).unbind(dim=1))
