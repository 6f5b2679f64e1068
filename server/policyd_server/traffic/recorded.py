"""From sealed episodes and a version in memory to the arrays that estimates take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy_api.v1 import experience_pb2 as pb
from policyd.evidence import features
from policyd.evidence.logs import Logs
from policyd_server.models.version import LoadedVersion
from policyd_server.traffic.densities import Densities, densities

_ROWS = 1024  # rows of one inference call
MOST_STEPS = 1000  # longer episodes are not used


@dataclass(frozen=True)
class Recorded:
    """The data for the estimates, and what was left out."""

    logs: Logs | None  # None: no episode fits
    left_out: int


def logs_of(episodes: Sequence[pb.Episode], version: LoadedVersion) -> Recorded:
    """Returns the complete episodes with the probabilities that `version` would have had.

    Left out are episodes with a missing step, with a step without an outcome, with over MOST_STEPS
    steps, or whose observations or actions do not fit the version.
    """
    whole = [episode for episode in episodes if _fits(episode, version)]
    if not whole:
        return Recorded(None, len(episodes))
    steps = [step for episode in whole for step in episode.steps]
    lengths = np.array([len(episode.steps) for episode in whole])
    found = _densities(steps, version)
    recorded = np.array([step.log_prob for step in steps], np.float64)
    observations = np.frombuffer(b"".join(step.observation for step in steps), "<f4")
    states = features.state_features(
        observations.reshape(len(steps), -1).astype(np.float64),
        np.array([step.step for step in steps], np.float64),
    )
    padded = _Padding(lengths)
    rewards = np.array([step.reward for step in steps], np.float64)
    logs = Logs(
        rewards=padded(rewards),
        log_ratios=padded(found.log_probs - recorded),
        valid=padded(np.ones(len(steps), np.bool_)),
        features=padded(features.joined(states, found.done)),
        expected=padded(features.joined(states, found.meant)),
        probes=np.stack([padded(probe - recorded) for probe in found.probes]),
    )
    return Recorded(logs, len(episodes) - len(whole))


class _Padding:
    """Converts steps in a row [M, ...] to [N, T, ...], padded with zeros."""

    def __init__(self, lengths: np.ndarray) -> None:
        self._shape = len(lengths), int(lengths.max())
        self._rows = np.repeat(np.arange(len(lengths)), lengths)
        self._columns = np.concatenate([np.arange(length) for length in lengths])

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        padded = np.zeros((*self._shape, *steps.shape[1:]), steps.dtype)
        padded[self._rows, self._columns] = steps
        return padded


def _fits(episode: pb.Episode, version: LoadedVersion) -> bool:
    steps = episode.steps
    if not 0 < len(steps) <= MOST_STEPS or episode.end == pb.ABANDONED:
        return False
    return all(
        step.step == number and step.reported and len(step.observation) == version.observation_bytes
        for number, step in enumerate(steps)
    )


def _densities(steps: Sequence[pb.RecordedStep], version: LoadedVersion) -> Densities:
    """Computes the densities of all steps, in calls of _ROWS.

    Raises ValueError if an action is not one of the version's.
    """
    parts = [_call(steps[start : start + _ROWS], version) for start in range(0, len(steps), _ROWS)]
    return Densities(
        np.concatenate([part.log_probs for part in parts]),
        np.concatenate([part.probes for part in parts], axis=1),
        np.concatenate([part.done for part in parts]),
        np.concatenate([part.meant for part in parts]),
    )


def _call(steps: Sequence[pb.RecordedStep], version: LoadedVersion) -> Densities:
    observations = np.frombuffer(b"".join(step.observation for step in steps), np.float32)
    outputs, _ = version.infer(observations.reshape(len(steps), *version.observation_shape))
    width = version.head.mask_width
    for row, step in enumerate(steps):
        if step.action_mask and len(step.action_mask) == width:
            mask = np.frombuffer(step.action_mask, np.uint8).reshape(1, width) != 0
            version.head.reweight(outputs, slice(row, row + 1), 1.0, mask)
    return densities(version.head, outputs, b"".join(step.action for step in steps))
