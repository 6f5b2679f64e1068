"""From a recorded episode to the steps that can be learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_api.v1 import experience_pb2 as pb
from policyd_trainer.spaces.actions import ActionCodec
from policyd_trainer.spaces.boxes import BoxCodec
from policyd_trainer.spaces.observations import ObservationEncoder


@dataclass(frozen=True)
class Sequence:
    """The steps of one episode up to the first missing one, K steps."""

    observations: np.ndarray  # [K, D] float32, the action mask last if the policy has one
    actions: np.ndarray  # [K, *action_shape]
    log_probs: np.ndarray  # [K] float32, as the server computed them when it acted
    rewards: np.ndarray  # [K] float32
    versions: np.ndarray  # [K] int64, the version that acted
    terminated: bool  # whether the last step reached a terminal state
    final_observation: np.ndarray | None  # [D], after the last step; None if terminated
    caller: str = ""  # who asked for the actions; empty without callers

    def __len__(self) -> int:
        return len(self.rewards)


def sequence_of(episode: pb.Episode, encoder: ObservationEncoder, codec: ActionCodec) -> Sequence | None:
    """The steps of an episode to learn from; None if there are none.

    Steps 0, 1, 2, ... count as long as each has an outcome. If these end before the episode does,
    the observation of the next decision is the successor. If no successor was recorded, the
    observation of the last step is used as the successor, and that step's reward is not learned
    from.
    """
    steps = _prefix(episode)
    ended = len(steps) == len(episode.steps)
    if ended and episode.end == pb.TERMINATED:
        return _sequence(steps, encoder, codec, None, episode.caller)
    successor = _successor(episode, len(steps), encoder)
    if successor is None and steps:
        successor, steps = _row(steps[-1], encoder), steps[:-1]
    if not steps or successor is None:
        return None
    return _sequence(steps, encoder, codec, successor, episode.caller)


def _prefix(episode: pb.Episode) -> list[pb.RecordedStep]:
    """Steps 0, 1, 2, ... that have an outcome. The step in which a client gave up has none."""
    steps = []
    for number, step in enumerate(episode.steps):
        if step.step != number or not step.reported:
            break
        steps.append(step)
    gave_up = episode.end == pb.ABANDONED and steps and len(steps) == len(episode.steps)
    return steps[:-1] if gave_up else steps


def _successor(episode: pb.Episode, length: int, encoder: ObservationEncoder) -> np.ndarray | None:
    """The row after these steps [D]; None if it was not recorded."""
    if length < len(episode.steps):
        following = episode.steps[length]
        return _row(following, encoder) if following.step == length else None
    if episode.end == pb.TRUNCATED and episode.final_observation:
        final = pb.RecordedStep(observation=episode.final_observation)
        return _row(final, encoder)
    return None


def _row(step: pb.RecordedStep, encoder: ObservationEncoder) -> np.ndarray:
    """The observation as a row for the networks [D].

    Raises:
        ValueError: it has another size than the policy's, or a number that is not finite.
    """
    row = np.frombuffer(step.observation, "<f4")
    if len(row) != encoder.observed:
        raise ValueError(f"observation: got {len(row)} numbers, expected {encoder.observed}")
    if not np.isfinite(row).all():
        raise ValueError("observation: got NaN or infinity, expected finite numbers")
    if not encoder.mask_width:
        return row
    mask = np.ones(encoder.mask_width, np.float32)
    if step.action_mask:
        mask = (np.frombuffer(step.action_mask, np.uint8) != 0).astype(np.float32)
    return np.concatenate((row, mask))


def _sequence(
    steps: list[pb.RecordedStep],
    encoder: ObservationEncoder,
    codec: ActionCodec,
    final_observation: np.ndarray | None,
    caller: str,
) -> Sequence | None:
    if not steps:
        return None
    actions = np.stack([np.frombuffer(step.action, _served_type(codec)) for step in steps])
    log_probs = np.array([step.log_prob for step in steps], np.float32)
    if isinstance(codec, BoxCodec):
        actions, log_probs = codec.from_served(actions, log_probs)
    distribution = codec.distribution
    return Sequence(
        observations=np.stack([_row(step, encoder) for step in steps]),
        actions=actions.astype(distribution.action_dtype).reshape(-1, *distribution.action_shape),
        log_probs=log_probs,
        rewards=np.array([step.reward for step in steps], np.float32),
        versions=np.array([step.version for step in steps], np.int64),
        terminated=final_observation is None,
        final_observation=final_observation,
        caller=caller,
    )


def _served_type(codec: ActionCodec) -> str:
    """The type of a recorded action: the normal sample u for a Box, else indices or bits."""
    return "<f4" if isinstance(codec, BoxCodec) else "<i8"
