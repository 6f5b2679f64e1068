"""What an environment on a device is, and what a rollout sees of it.

`VectorEnvironment` is the vector environment of Gymnasium, Isaac Lab and ManiSkill: `reset` and
`step` take and return tensors on its device. A rollout sees it through a `Stepper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class VectorEnvironment(Protocol):
    """M environments that step together.

    It may also have

    - `is_capturable` (default false): `step` uses torch operations only, keeps its state in tensors
      that it changes in place, and never waits for the device. The trainer then records it in a
      CUDA graph.
    - `prepare(steps)`: called before each rollout of so many steps, for example to draw random
      numbers.
    - `state_dict()` and `load_state_dict(state)`: the state by name, for checkpoints. Without them
      a resumed run starts new episodes.
    """

    num_envs: int  # M

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor | Mapping[str, Tensor], dict[str, Any]]:
        """Starts an episode in each; observations [M, ...] and infos."""

    def step(
        self, actions: Tensor
    ) -> tuple[Tensor | Mapping[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        """One step with actions [M, ...]: observations, rewards, terminated, truncated [M], infos.

        Where an episode ended, `observations` are those of the next episode, and
        `infos["final_obs"]` [M, ...] (or `final_observation`) has the last ones of the old episode.
        (One whose metadata say AutoresetMode.NEXT_STEP resets in the step after.)
        """


@dataclass(slots=True)
class DeviceStep:
    """One step of M environments, tensors on the device. As `environments.interface.Step`."""

    observations: Tensor  # [M, D], what comes next to act on
    rewards: Tensor  # [M] float32
    terminated: Tensor  # [M] bool
    truncated: Tensor  # [M] bool
    successors: Tensor | None  # [M, D]: the true next observations; None where ends hide them
    valid: Tensor | None = None  # [M] bool; None: all


class Stepper(Protocol):
    """Environments as a rollout steps them."""

    n_envs: int  # M
    is_capturable: bool  # whether steps may be recorded in a CUDA graph

    def reset(self) -> Tensor:
        """Starts an episode in each; observations [M, D]."""

    def prepare(self, steps: int) -> None:
        """Called before each rollout of so many steps."""

    def step(self, actions: Tensor) -> DeviceStep:
        """One step with stored actions [M, ...], as the policy's distribution gives them."""

    def snapshot(self) -> Any:
        """What determines later steps, on the host; None where it cannot be saved."""

    def restore(self, saved: Any) -> Tensor:
        """Goes back to a snapshot; the observations to act on [M, D]."""

    def close(self) -> None:
        """Frees what the environments hold."""
