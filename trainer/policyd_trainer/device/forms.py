"""Environments whose equations are vector forms, stepped on a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from policyd_trainer.device.streams import Purpose, Streams
from policyd_trainer.environments.forms.interface import DeviceForm

NEVER = 2**31 - 1


class FormEnvironments:
    """A VectorEnvironment that resets in the step that ends an episode.

    It is the Gymnasium environment of the same name: the same equations, constants and time limit.
    It computes in float32 unless `dtype` says otherwise. Philox draws the first states on the
    device, so they have the same distribution as Gymnasium's, but not the same values for a seed.
    """

    is_capturable = True

    def __init__(
        self,
        form: DeviceForm,
        num_envs: int,
        device: torch.device | str = "cpu",
        *,
        time_limit: int | None = None,
        streams: Streams | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`time_limit` is the most steps of an episode.

        Without `streams`, `reset` makes them from its seed.
        """
        self.num_envs, self.device = num_envs, torch.device(device)
        self._form, self._dtype, self._limit = form, dtype, time_limit or NEVER
        self._streams = streams or Streams([0], num_envs, device)
        size = len(form.start_from(torch.zeros(form.start_numbers, 1)))
        self._state = torch.zeros(size, num_envs, dtype=dtype, device=device)  # [S, M]
        self._steps = torch.zeros(num_envs, dtype=torch.int32, device=device)  # [M], of running episodes
        self._starts: Tensor | None = None  # [T, S, M], drawn by `prepare`
        self._next = 0  # index into `_starts`

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Starts an episode in each environment. Returns observations [M, D] and empty infos."""
        del options
        if seed is not None:
            self._streams = Streams([seed], self.num_envs, self.device)
        self._state.copy_(self._drawn(Purpose.RESET, 1)[0])
        self._steps.zero_()
        self._starts = None
        return self._observed(), {}

    def prepare(self, steps: int) -> None:
        """Draws the first states for the next `steps` steps of all environments at once.

        A few large kernels are faster than many small ones.
        """
        self._starts, self._next = self._drawn(Purpose.STARTS, steps), 0

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Does one step. infos["final_obs"] [M, D] are the observations before any reset."""
        if self._starts is None or self._next == len(self._starts):
            self._streams.advance()
            self.prepare(1)
        assert self._starts is not None, "prepare sets it"
        moved, rewards, terminated = self._form.step(self._state, actions)
        self._steps += 1
        truncated = self._steps >= self._limit
        done = terminated | truncated
        final = self._form.observe(moved)
        self._state.copy_(torch.where(done, self._starts[self._next], moved))
        self._steps *= ~done
        self._next += 1
        return self._observed(), rewards.float(), terminated, truncated, {"final_obs": final}

    def state_dict(self) -> dict[str, Tensor]:
        """The states and lengths of the running episodes."""
        return {"state": self._state, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Tensor]) -> Tensor:
        """Goes back to such a state. Returns the observations [M, D]."""
        self._state.copy_(state["state"])
        self._steps.copy_(state["steps"])
        return self._observed()

    def close(self) -> None:
        """Does nothing: there is nothing to free."""

    def _observed(self) -> Tensor:
        """The observations [M, D], in memory of their own."""
        observations: Tensor = self._form.observe(self._state).clone()
        return observations

    def _drawn(self, purpose: Purpose, steps: int) -> Tensor:
        """Draws first states [T, S, M]."""
        uniforms = self._streams.uniforms(purpose, steps, self._form.start_numbers)  # [T, K, M]
        flat = uniforms.transpose(0, 1).reshape(self._form.start_numbers, -1).to(self._dtype)
        states: Tensor = self._form.start_from(flat)  # [S, T M]
        return states.reshape(-1, steps, self.num_envs).transpose(0, 1)
