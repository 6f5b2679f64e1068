"""Environments that stay on the host, for a learner on a device.

Observations and rewards go over by asynchronous copies from pinned memory; actions come back in one
copy, for which each step waits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from policyd_trainer.device.interface import DeviceStep
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.interface import Environments
from policyd_trainer.environments.seeds import restarted

RING = 2  # buffers used in turn: the environments fill one while the other is copied


class HostStepper:
    """Steps environments that run on the host. `dtype` is the type of their rows."""

    is_capturable = False

    def __init__(self, environments: Environments, seed: int, device: torch.device) -> None:
        self._environments, self._seed, self._device = environments, seed, device
        self.n_envs = environments.n_envs
        self._pinned: dict[str, list[Tensor]] = {}  # name -> RING pinned buffers
        self._copied: list[Any] = [None] * RING  # events: once done, the buffers may be filled again
        self._turn = 0
        self._rows = np.zeros((0, 0), np.float32)  # [M, D], the observations to act on next

    def reset(self, rollouts: int = 0) -> Tensor:
        """Starts an episode in each environment. Returns the observations [M, D]."""
        seed = restarted(self._seed, rollouts)
        self._rows = _finite("observations", self._environments.reset(seed))
        return self._sent({"observations": self._rows})["observations"]

    def prepare(self, steps: int) -> None:
        """Does nothing: host environments draw as they go."""

    def step(self, actions: Tensor) -> DeviceStep:
        """Does one step with stored actions [M, ...].

        The environments translate the actions with their own codec.
        """
        step = self._environments.step(actions.cpu().numpy())
        self._rows = step.observations
        arrays = {
            "observations": _finite("observations", step.observations),
            "rewards": _finite("rewards", np.asarray(step.rewards, np.float32)),
            "ends": np.stack((step.terminated, step.truncated)),
        }
        if step.final_observations is not None:
            done = step.terminated | step.truncated
            final = np.where(done[:, None], step.final_observations, step.observations)
            arrays["successors"] = _finite("final_observations", final)
        if step.valid is not None:
            arrays["valid"] = step.valid
            arrays["rewards"] = arrays["rewards"] * step.valid
            arrays["ends"] = arrays["ends"] & step.valid
        sent = self._sent(arrays)
        terminated, truncated = sent["ends"]
        successors = sent.get("successors", sent["observations"])
        return DeviceStep(
            sent["observations"], sent["rewards"], terminated, truncated, successors, sent.get("valid")
        )

    def snapshot(self) -> Any:
        """The environments' own snapshot; None if one of them cannot be saved."""
        saved = self._environments.snapshot()
        return None if saved is None else (saved, self._rows)

    def restore(self, saved: Any) -> Tensor:
        """Goes back to a snapshot. Returns the observations to act on [M, D]."""
        environments, self._rows = saved
        self._environments.restore(environments)
        return self._sent({"observations": self._rows})["observations"]

    def close(self) -> None:
        """Closes the environments."""
        self._environments.close()

    def _sent(self, arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """Copies the arrays to the device.

        On a CPU they are copied too, because environments may overwrite their arrays.
        """
        if self._device.type != "cuda":
            return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self._turn = (self._turn + 1) % RING
        if self._copied[self._turn] is not None:
            self._copied[self._turn].synchronize()
        sent = {name: self._sent_one(name, array) for name, array in arrays.items()}
        self._copied[self._turn] = torch.cuda.Event()
        self._copied[self._turn].record()
        return sent

    def _sent_one(self, name: str, array: np.ndarray) -> Tensor:
        ordinary = torch.from_numpy(np.ascontiguousarray(array))
        if name not in self._pinned:
            self._pinned[name] = [torch.empty_like(ordinary, pin_memory=True) for _ in range(RING)]
        pinned = self._pinned[name][self._turn]
        pinned.copy_(ordinary)
        return pinned.to(self._device, non_blocking=True)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    """Returns the array. Raises EnvironmentFailed if it has a NaN or infinite number."""
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise EnvironmentFailed(
            f"environment {row} returned NaN or infinity in its {name}, expected finite numbers"
        )
    return array
