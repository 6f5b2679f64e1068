"""What an operator allows one job to ask for, so that no job holds the others up for ever."""

from __future__ import annotations

from dataclasses import dataclass

from policyd.errors import InvalidArgument
from policyd_trainer.config import TrainingConfig

RENDER_MODES = (None, "rgb_array", "ansi")  # the modes that open no window


@dataclass(frozen=True)
class Ceilings:
    """The largest settings of a job."""

    max_env_steps: int | None = None  # total_timesteps, evaluation_steps; None: no limit
    max_envs: int = 4096  # n_envs, evaluation_envs
    max_step_timeout: float = 3600.0  # step_timeout, seconds

    def check(self, config: TrainingConfig) -> None:
        """Raises InvalidArgument if a setting is larger than allowed, or would open a window."""
        for name in ("total_timesteps", "evaluation_steps"):
            self._require(config, name, self.max_env_steps)
        for name in ("n_envs", "evaluation_envs"):
            self._require(config, name, self.max_envs)
        self._require(config, "step_timeout", self.max_step_timeout)
        mode = config.env_kwargs.get("render_mode")
        if mode not in RENDER_MODES:
            wanted = "none, rgb_array or ansi: a trainer has no window to draw in"
            raise InvalidArgument.of("settings[env_kwargs]", got=f"render_mode {mode!r}", wanted=wanted)

    @staticmethod
    def _require(config: TrainingConfig, name: str, largest: float | None) -> None:
        value = getattr(config, name)
        if largest is not None and value is not None and value > largest:
            wanted = f"at most {largest:,.10g}, as this trainer is set up"
            raise InvalidArgument.of(f"settings[{name}]", got=value, wanted=wanted)
