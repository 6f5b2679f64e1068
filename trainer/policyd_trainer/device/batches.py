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
    """A rollout's steps for each member, flat. Step t of environment n has index t N + n."""

    observations: Tensor  # [S, B, D], not scaled
    actions: Tensor  # [S, B, *action_shape]
    advantages: Tensor  # [S, B]
    values: Tensor  # V(s_t) before the update [S, B]
    value_targets: Tensor  # [S, B]
    old_log_probs: Tensor | None = None  # [S, B]; only with a clip range
    weights: Tensor | None = None  # [S, B]: 1.0 where a step counts; None: all do

    def __len__(self) -> int:
        return self.advantages.shape[1]

    def take(self, places: Tensor) -> DeviceBatch:
        """The steps with the indices `places` [S, m] of each member."""
        members = torch.arange(len(places), device=places.device)[:, None]
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {n: None if p is None else p[members, places] for n, p in parts.items()}
        return DeviceBatch(**taken)


@dataclass(frozen=True)
class Division:
    """How B = T N steps become minibatches of one size, the same for any number of processes.

    The environments form groups of E, where E is the smallest number for which T E steps divide
    into K equal parts. Each epoch deals the steps of a group at random to the K minibatches. So it
    does not matter for a minibatch how the environments are shared among processes, as long as each
    group is in one process.
    """

    steps: int  # T
    n_envs: int  # N, in this process
    minibatches: int  # K

    @property
    def group(self) -> int:
        """E, the number of environments whose steps are dealt together."""
        return self.minibatches // math.gcd(self.steps, self.minibatches)

    @classmethod
    def of(cls, steps: int, n_envs: int, processes: int, minibatch_size: int | None, name: str) -> Division:
        """The division for `n_envs` environments, counted over all processes.

        Raises:
            InvalidArgument: the steps cannot be dealt evenly. Names the setting.
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
        """The indices [S, B / K] of the steps of each minibatch."""
        steps, group, count = self.steps, self.group, self.minibatches
        keys = streams.uniforms(Purpose.ORDER + epoch, steps, 1)  # [T, 1, S N]
        grouped = keys.reshape(steps, members, self.n_envs // group, group).permute(1, 2, 3, 0)
        order = grouped.flatten(2).argsort(dim=2)  # [S, G, E T], the steps of an environment side by side
        env, step = order // steps, order % steps
        first = torch.arange(self.n_envs // group, device=order.device)[None, :, None] * group
        places = (step * self.n_envs + first + env).unflatten(2, (count, -1))  # [S, G, K, E T / K]
        return list(places.transpose(1, 2).flatten(2).unbind(dim=1))
