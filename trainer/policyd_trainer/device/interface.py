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

    It may also have these members:

    - `is_capturable` (default false): `step` uses torch operations only, keeps its state in tensors
      that it changes in place, and never waits for the device. The trainer then records it in a
      CUDA graph.
    - `prepare(steps)`: called before each rollout of that many steps, for example to draw
      random numbers.
    - `state_dict()` and `load_state_dict(state)`: all state as named tensors, for checkpoints.
      Without these two a resumed run starts new episodes.
    """

    num_envs: int  # M

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor | Mapping[str, Tensor], dict[str, Any]]:
        """Starts an episode in each environment. Returns observations [M, ...] and infos."""

    def step(
        self, actions: Tensor
    ) -> tuple[Tensor | Mapping[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        """Does one step with actions [M, ...].

        Returns observations [M, ...], rewards, terminated and truncated [M], and infos. Where an
        episode ended, `observations` are those of the next episode, and `infos["final_obs"]`
        [M, ...] (or `final_observation`) has the last ones of the old episode. If the metadata of
        an environment say AutoresetMode.NEXT_STEP, it resets in the step after instead.
        """


@dataclass(slots=True)
class DeviceStep:
    """One step of M environments, as tensors on the device. See `environments.interface.Step`."""

    observations: Tensor  # [M, D], the observations to act on next
    rewards: Tensor  # [M] float32
    terminated: Tensor  # [M] bool
    truncated: Tensor  # [M] bool
    successors: Tensor | None  # [M, D], the true next observations; None: hidden at ends
    valid: Tensor | None = None  # [M] bool: whether a step was taken; None: all were


class Stepper(Protocol):
    """How a rollout steps its environments."""

    n_envs: int  # M
    is_capturable: bool  # whether steps may be recorded in a CUDA graph

    def reset(self, rollouts: int = 0) -> Tensor:
        """Starts an episode in each environment. Returns the observations [M, D].

        The seed follows from the run's and from how many `rollouts` came before.
        """

    def prepare(self, steps: int) -> None:
        """Is called before each rollout of `steps` steps."""

    def step(self, actions: Tensor) -> DeviceStep:
        """Does one step with stored actions [M, ...], as the policy's distribution gives them."""

    def snapshot(self) -> Any:
        """What determines later steps, on the host; None if it cannot be saved."""

    def restore(self, saved: Any) -> Tensor:
        """Goes back to a snapshot. Returns the observations to act on [M, D]."""

    def close(self) -> None:
        """Frees what the environments hold."""
