"""The preset that fits an environment's spaces, where it has no row of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from policyd.errors import InvalidArgument
from policyd_trainer import presets
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import EnvironmentInfo, inspect, look_at
from policyd_trainer.spaces.boxes import BoxCodec

logger = logging.getLogger(__name__)


def fitted(config: TrainingConfig, settings: Mapping[str, str], *, look: bool = False) -> TrainingConfig:
    """Returns `config`, or one with the preset that fits the environment's spaces.

    Only the preset `auto` is replaced. If only one environment can exist at a time, the run uses
    one, unless `settings` ask for more. The same environment and settings give the same
    configuration. With `look` the environment is made even if there is nothing to choose.

    Raises:
        PolicydError: the same errors as `inspect`.
        InvalidArgument: `settings` ask for more environments than can exist.
    """
    if config.preset != "auto" or presets.has_row(config.env_id, config.algorithm):
        if look:
            inspect(config)
        return config
    seen = look_at(config, beside=config.n_envs > 1)
    name = kind_of(EnvironmentInfo.of(config, seen))
    chosen = dict(settings) if name == "default" else {**settings, "preset": name}
    if seen.only_one:
        chosen = {**_alone(_with(config, chosen), settings, seen.only_one), **chosen}
    return config if chosen == dict(settings) else _with(config, chosen)


def _with(config: TrainingConfig, settings: Mapping[str, str]) -> TrainingConfig:
    """The same run with these settings."""
    return resolve_config(config.policy, config.env_id, config.algorithm, config.seed, settings)


def _alone(config: TrainingConfig, settings: Mapping[str, str], why: str) -> dict[str, str]:
    """Settings for a single environment, with batches of the same size."""
    if "n_envs" in settings:
        wanted = f"1: only one {config.env_id} can exist at a time ({why})"
        raise InvalidArgument.of("settings[n_envs]", got=config.n_envs, wanted=wanted)
    logger.info("one environment at a time, for a second one cannot be made: %s", why)
    return {"n_envs": "1", "n_steps": str(config.n_envs * config.n_steps), "candidates": "1"}


def kind_of(info: EnvironmentInfo) -> str:
    """The preset's name for these spaces."""
    if info.encoder.layout.has_images:
        return "images"
    if isinstance(info.codec, BoxCodec):
        return "continuous"
    return "tabular" if info.encoder.layout.is_numbered else "default"
