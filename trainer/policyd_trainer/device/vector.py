"""A vector environment that returns tensors, ours or a user's, in the form that rollouts use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from policyd_trainer.device.actions import ActionMap
from policyd_trainer.device.interface import DeviceStep, VectorEnvironment
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.seeds import restarted

FINALS = ("final_obs", "final_observation")  # Gymnasium's name, ManiSkill's name
POLICY = "policy"  # Isaac Lab's name for the observations that the policy takes


class VectorStepper:
    """Steps a VectorEnvironment. Observations become rows [M, D]."""

    def __init__(
        self,
        environment: VectorEnvironment,
        actions: ActionMap,
        device: torch.device,
        seed: int | None = None,
    ) -> None:
        """`seed` is for the first reset. None: the environment already has its random numbers."""
        self.environment, self._actions, self._device = environment, actions, device
        self._seed = seed
        self.n_envs = environment.num_envs
        self.is_capturable = bool(getattr(environment, "is_capturable", False))
        mode = str((getattr(environment, "metadata", None) or {}).get("autoreset_mode", ""))
        self._next_step = mode.upper().replace("-", "_").endswith("NEXT_STEP") or mode == "NextStep"
        self._resetting = torch.zeros(self.n_envs, dtype=torch.bool, device=device)  # [M]

    def reset(self, rollouts: int = 0) -> Tensor:
        """Starts an episode in each environment."""
        seed = None if self._seed is None else restarted(self._seed, rollouts)
        observations, _ = self.environment.reset(seed=seed)
        self._resetting.zero_()
        return self._rows(observations)

    def prepare(self, steps: int) -> None:
        """Calls the environment's `prepare`, if it has one."""
        prepare = getattr(self.environment, "prepare", None)
        if prepare is not None:
            prepare(steps)

    def step(self, actions: Tensor) -> DeviceStep:
        """Does one step with stored actions [M, ...]."""
        chosen = self._actions(actions)
        observations, rewards, terminated, truncated, infos = self.environment.step(chosen)
        rows, terminated, truncated = self._rows(observations), terminated.bool(), truncated.bool()
        if not self._next_step:
            final = next((infos[name] for name in FINALS if name in infos), None)
            successors = None if final is None else self._successors(rows, final, terminated | truncated)
            return DeviceStep(rows, rewards.float(), terminated, truncated, successors)
        valid = ~self._resetting
        terminated, truncated = terminated & valid, truncated & valid
        self._resetting.copy_(terminated | truncated)
        return DeviceStep(rows, rewards.float() * valid, terminated, truncated, rows, valid)

    def snapshot(self) -> Any:
        """The environment's own state; None if it has no `state_dict`."""
        state_dict = getattr(self.environment, "state_dict", None)
        if state_dict is None:
            return None
        copied = {name: tensor.cpu().clone() for name, tensor in state_dict().items()}
        return copied, self._resetting.cpu().clone()

    def restore(self, saved: Any) -> Tensor:
        """Goes back to a snapshot."""
        state, resetting = saved
        self._resetting.copy_(resetting)
        return self._rows(self.environment.load_state_dict(state))  # type: ignore[attr-defined]

    def close(self) -> None:
        """Closes the environment, if it has `close`."""
        close = getattr(self.environment, "close", None)
        if close is not None:
            close()

    def _rows(self, observations: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Makes rows [M, D].

        Of a mapping it takes the group for the policy, or all its parts side by side.
        """
        if isinstance(observations, Mapping):
            if POLICY in observations:
                return self._rows(observations[POLICY])
            parts = [self._rows(observations[name]) for name in sorted(observations)]
            return torch.cat(parts, dim=1)
        answered: Any = observations  # from a user's code, so any type
        if not isinstance(answered, Tensor) or len(answered) != self.n_envs:
            got = tuple(answered.shape) if isinstance(answered, Tensor) else type(answered).__name__
            raise EnvironmentFailed(
                f"vector environment: got observations {got}, expected a tensor [{self.n_envs}, ...]"
            )
        rows = observations.reshape(self.n_envs, -1)
        return rows if rows.dtype == torch.uint8 else rows.float()

    def _successors(self, rows: Tensor, final: Any, done: Tensor) -> Tensor:
        """The true next rows [M, D]: where an episode ended, its last observations."""
        if isinstance(final, Tensor | Mapping):
            return torch.where(done[:, None], self._rows(final), rows)
        successors = rows.clone()  # Gymnasium's: an array of objects, None where no episode ended
        for index, observation in enumerate(final):
            if observation is not None:
                successors[index] = torch.as_tensor(observation, device=self._device).reshape(-1)
        return successors
