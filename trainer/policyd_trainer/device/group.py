"""The processes that learn together, as one rollout's arithmetic needs them."""

from __future__ import annotations

from dataclasses import dataclass

import torch.distributed
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """The `size` processes of a run. This one has the number `rank`, from 0.

    Each process has its part of the environments.
    """

    rank: int = 0
    size: int = 1

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place. With one process it is the tensor itself."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor
