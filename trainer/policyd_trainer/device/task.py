"""What a run learns, as the engine on a device takes it: spaces, networks, environments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policyd_trainer.algorithms.build import NetworkSpecs
from policyd_trainer.device.interface import Stepper
from policyd_trainer.device.streams import Streams
from policyd_trainer.distributions.interface import Distribution


@dataclass(frozen=True)
class Placement:
    """Where a stepper's environments are computed, and which of the run's environments they are."""

    device: torch.device
    streams: Streams  # of all M environments, member by member
    members: int  # S
    n_envs: int  # N, of each member in this process
    first: int  # among the run's environments of a member, the number of the first one here
    seed: int

    @property
    def total(self) -> int:
        """M, the number of environments in this process."""
        return self.members * self.n_envs


@dataclass(frozen=True)
class DeviceTask:
    """One environment and the networks for it."""

    specs: NetworkSpecs
    distribution: Distribution
    make: Callable[[Placement], Stepper]
    row_dtype: type[np.generic] = np.float32  # type of observations: uint8 for pixels

    @property
    def row_size(self) -> int:
        """D, the number of numbers in a row."""
        return self.specs.actor.inputs

    @property
    def torch_row_dtype(self) -> torch.dtype:
        """The type of rows on the device."""
        return torch.uint8 if self.row_dtype is np.uint8 else torch.float32

    @property
    def torch_action_dtype(self) -> torch.dtype:
        """The type of stored actions on the device."""
        kinds: dict[Any, torch.dtype] = {
            np.dtype(np.int64): torch.int64,
            np.dtype(np.int8): torch.int8,
            np.dtype(np.float32): torch.float32,
        }
        return kinds[np.dtype(self.distribution.action_dtype)]
