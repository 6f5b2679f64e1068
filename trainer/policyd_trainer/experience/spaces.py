"""What a policy sees and does, without an environment: from an artifact, or from a request.

Light on purpose: the service validates requests with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from policy_api.v1 import artifact_pb2
from policy_api.v1.training_pb2 import Spaces as SpacesMessage
from policyd import spaces
from policyd.errors import InvalidArgument, PolicydError
from policyd.experience import CLIENTS
from policyd.gym_spaces import LARGEST_CHOICE
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.presets.spaces import STATE_DEPENDENT_A2C
from policyd_trainer.spaces.actions import ActionCodec, codec_for
from policyd_trainer.spaces.boxes import BoxCodec, GaussianOptions
from policyd_trainer.spaces.observations import ObservationEncoder, encoder_of
from policyd_trainer.spaces.restore import action_space

ALGORITHM = "a2c"
CLIP_RANGE = "0.2"
#: Passes over a batch. Steps of clients are expensive, and clipped ratios allow more than one pass.
#: In docs/notes/learning-from-clients.md a bandit does not reach within 1% of its optimum with one.
EPOCHS = "4"
#: Added to the preset of Box actions. The server draws each action anew, so noise that depends on
#: the state (gSDE) is no smoother here. If all observations are equal, their scaled features are 0,
#: and that noise would be 0 too: nothing new would be tried. Noise that is drawn anew for each step
#: averages out over an episode, so the deviation begins at half the range: with 0.6 of that, 2 of
#: 4,000 episodes of MountainCarContinuous reached the goal, with this 85. See
#: docs/notes/learning-from-clients.md.
BOX_ACTIONS: Mapping[str, str] = {"use_sde": "false", "log_std_init": "0", "minibatch_size": "512"}
#: The rates of A2C here. Those of the preset `continuous` are for ten passes over each batch.
BOX_RATES: Mapping[str, str] = {name: json.dumps(value) for name, value in STATE_DEPENDENT_A2C.items()}
#: Most numbers of one observation and of one action.
LARGEST = {"observation": 2**22, "action": 2**12}


@dataclass(frozen=True)
class Spaces:
    """The observations and actions of a policy."""

    encoder: ObservationEncoder
    codec: ActionCodec


def spaces_of(metadata: artifact_pb2.PolicyMetadata, config: TrainingConfig) -> Spaces:
    """The spaces that the version's metadata describe."""
    codec = codec_for(action_space(metadata.action_space), GaussianOptions.of(config))
    mask_width = codec.mask_width if metadata.has_action_mask else 0
    encoder = encoder_of(metadata.observation_space, mask_width, scaled=config.normalize_observations)
    return Spaces(encoder, codec)


def first_config(
    policy: str,
    algorithm: str,
    seed: int,
    settings: Mapping[str, str],
    message: SpacesMessage,
    env_id: str = "",
) -> TrainingConfig:
    """The configuration of an untrained version: the preset for the spaces, with `settings` on top.

    Raises:
        InvalidArgument: nothing can be learned with these settings or spaces. Names the field.
    """
    merged = {"clip_range": CLIP_RANGE, "n_epochs": EPOCHS, **settings}
    name, environment = algorithm or ALGORITHM, env_id or CLIENTS
    config = resolve_config(policy, environment, name, seed, merged)
    asked = spaces_of_message(message, config)
    if "preset" in settings:
        return config
    kind = "default"
    if isinstance(asked.codec, BoxCodec):
        kind, merged = "continuous", {**_box_actions(settings), **merged}
    if asked.encoder.layout.has_images:
        kind = "images"
    elif kind == "continuous" and name == "a2c":
        merged = {**BOX_RATES, **merged}
    return resolve_config(policy, environment, name, seed, {"preset": kind, **merged})


def _box_actions(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Defaults for Box actions. With gSDE its own log_std_init stays."""
    if settings.get("use_sde", "false") == "false":
        return BOX_ACTIONS
    return {name: text for name, text in BOX_ACTIONS.items() if name != "log_std_init"}


def spaces_of_message(message: SpacesMessage, config: TrainingConfig) -> Spaces:
    """The spaces that a request describes. Raises InvalidArgument, which names the field."""
    _check(message.observation, "observation")
    _check(message.action, "action")
    try:
        codec = codec_for(action_space(message.action), GaussianOptions.of(config))
    except (PolicydError, ValueError, TypeError, AssertionError) as error:
        raise _wrong("action", error) from error
    width = codec.mask_width if message.has_action_mask else 0
    return Spaces(
        encoder_of(message.observation, width, scaled=config.normalize_observations),
        codec,
    )


def _check(space: artifact_pb2.Space, name: str) -> None:
    """Raises InvalidArgument if shapes, bounds and types disagree, or if the space is too large."""
    try:
        parts = spaces.leaves(space)
        for part in parts:
            _check_leaf(part)
    except (PolicydError, ValueError, TypeError) as error:
        raise _wrong(name, error) from error
    size = sum(part.size for part in parts)
    if not 1 <= size <= LARGEST[name]:
        wanted = f"1 to {LARGEST[name]:,} numbers"
        raise InvalidArgument.of(f"spec.spaces.{name}", got=f"{size:,} numbers", wanted=wanted)


def _check_leaf(part: spaces.Leaf) -> None:
    """Raises ValueError that says what is wrong with the space."""
    if part.kind == "box":
        for bounds in (part.space.box.low, part.space.box.high):
            if len(bounds) not in (1, part.size):
                raise ValueError(f"{len(bounds)} bounds, expected 1 or {part.size}")
        if part.dtype.kind not in "fiub":
            raise ValueError(f"type {part.dtype}, expected numbers")
    elif part.kind in ("discrete", "multi_discrete"):
        counts = spaces.choice_ranges(part)[1]
        if len(counts) != part.size or not 1 <= min(counts, default=0) <= max(counts) <= LARGEST_CHOICE:
            raise ValueError(f"choices {counts[:10]}, expected 1 to {LARGEST_CHOICE} for each of {part.size}")


def _wrong(name: str, error: Exception) -> InvalidArgument:
    wanted = "a space as Gymnasium has it, with shape, bounds and type that agree"
    return InvalidArgument.of(f"spec.spaces.{name}", got=str(error) or "bounds that are wrong", wanted=wanted)
