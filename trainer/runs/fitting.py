"""The preset that fits an environment's spaces, where it has no row of its own."""

from __future__ import annotations

from collections.abc import Mapping

from trainer import presets
from trainer.config import TrainingConfig, resolve_config
from trainer.environments.make import EnvironmentInfo, inspect
from trainer.spaces.boxes import BoxCodec


def fitted(config: TrainingConfig, settings: Mapping[str, str]) -> TrainingConfig:
    """`config`, or what the same `settings` give on the preset for continuous actions or for images.

    Only the preset `auto` is free to choose. The same environment and settings give the same configuration.

    Raises:
        PolicydError: as `inspect`.
    """
    if config.preset != "auto" or presets.has_row(config.env_id, config.algorithm):
        return config
    name = kind_of(inspect(config))
    if name == "default":
        return config
    chosen = {**settings, "preset": name}
    return resolve_config(config.policy, config.env_id, config.algorithm, config.seed, chosen)


def kind_of(info: EnvironmentInfo) -> str:
    """The preset's name for these spaces."""
    if info.encoder.layout.has_images:
        return "images"
    return "continuous" if isinstance(info.codec, BoxCodec) else "default"
