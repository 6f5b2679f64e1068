"""From sequences to a rollout [T, N] and to the batch that the learner takes.

One sequence a column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.estimate import Experience, Targets
from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.algorithms.prepare import make_batch
from policyd_trainer.arrays import Array
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.advantages import normalized, td_errors
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.estimators.vtrace import vtrace, vtrace_advantages
from policyd_trainer.experience.sequences import Sequence
from policyd_trainer.rollouts.buffer import Rollout


@dataclass(frozen=True)
class Correction:
    """How much actions of older versions count; see LearnConfig."""

    kind: Literal["weighted", "clip", "vtrace", "none"] = "weighted"
    rho_bar: float = 1.0
    c_bar: float = 1.0
    max_shift: float = 0.3


@dataclass(frozen=True)
class Corrected:
    """A batch, and how much the actor may learn from it."""

    batch: Batch
    trust: float = 1.0  # factor of the actor's learning rate, 0 to 1


WEIGHTED = Correction()
SIGNAL = 0.1  # deviation of advantages from which on the actor learns at its full rate


def rollout_of(sequences: Many[Sequence]) -> Rollout:
    """The sequences as columns [T, N], with T the longest.

    Steps after a sequence's end are not valid.

    A sequence that did not terminate counts as truncated: its last step is bootstrapped from the
    observation that came after it.
    """
    first = sequences[0]
    steps, n = max(len(sequence) for sequence in sequences), len(sequences)
    observations = np.zeros((steps + 1, n, first.observations.shape[1]), first.observations.dtype)
    actions = np.zeros((steps, n, *first.actions.shape[1:]), first.actions.dtype)
    rewards = np.zeros((steps, n), np.float32)
    terminated, truncated, valid = (np.zeros((steps, n), bool) for _ in range(3))
    finals: list[tuple[int, int]] = []
    for column, sequence in enumerate(sequences):
        length = len(sequence)
        observations[:length, column] = sequence.observations
        actions[:length, column] = sequence.actions
        rewards[:length, column] = sequence.rewards
        valid[:length, column] = True
        terminated[length - 1, column] = sequence.terminated
        truncated[length - 1, column] = not sequence.terminated
        if sequence.final_observation is not None:
            finals.append((length - 1, column))
    final_rows = [s.final_observation for s in sequences if s.final_observation is not None]
    return Rollout(
        observations,
        actions,
        rewards,
        terminated,
        truncated,
        valid,
        np.array(finals, np.int64).reshape(-1, 2),
        np.array(final_rows, observations.dtype).reshape(-1, observations.shape[-1]),
    )


def batch_of(
    config: TrainingConfig,
    learner: Learner,
    sequences: Many[Sequence],
    rollout: Rollout,
    rewards: np.ndarray,
    scaling: ObservationScaling | None,
    correction: Correction = WEIGHTED,
) -> Corrected:
    """The batch of a rollout of `sequences`, corrected for the age of its actions.

    With `weighted` each step's weight is its probability now over its recorded probability, at
    most `rho_bar`. The update is clipped against the policy as it is now (Hilton, Cobbe and
    Schulman, 2022, the decoupled objective). With `clip` the clipped ratio is against each step's
    recorded probability, so a step whose ratio is outside the range has no gradient. With `vtrace`
    the targets and advantages use truncated ratios, and the update is clipped as with `weighted`.
    With both, the actor learns only as far as `trust` says. `rewards` [T, N] are the rollout's,
    scaled if that is configured.
    """
    plain = config.model_copy(update={"normalize_advantages": False})
    make = partial(make_batch, plain, learner, rollout, rewards, scaling)
    batch = make()
    if correction.kind == "none":
        return _corrected(config, batch)
    recorded = np.zeros(rewards.shape, np.float32)  # [T, N]
    for column, sequence in enumerate(sequences):
        recorded[: len(sequence), column] = sequence.log_probs
    asarray = learner.backend.asarray
    if correction.kind == "clip":
        return _corrected(config, replace(batch, old_log_probs=asarray(recorded[rollout.valid])))
    current = np.zeros(rewards.shape, np.float32)  # [T, N]
    current[rollout.valid] = learner.backend.to_numpy(batch.old_log_probs)
    ratios = np.exp((current - recorded).clip(-20, 20))  # [T, N]
    trusted = trust(ratios[rollout.valid], correction.max_shift)
    if correction.kind == "weighted":
        weights = asarray(ratios[rollout.valid].clip(0, correction.rho_bar))
        return _corrected(config, batch, trusted, weights)
    estimator = partial(_vtrace, ratios=asarray(ratios), correction=correction)
    return _corrected(config, make(estimator), trusted)


def _corrected(
    config: TrainingConfig, batch: Batch, trusted: float = 1.0, weights: Array | float = 1.0
) -> Corrected:
    """The batch with its advantages normalised, if that is configured, and then weighted."""
    told = signal(batch.advantages) if config.normalize_rewards else 1.0
    advantages = normalized(batch.advantages) if config.normalize_advantages else batch.advantages
    return Corrected(replace(batch, advantages=advantages * weights), trusted * told)


def signal(advantages: Array) -> float:
    """How much the actor may learn from these advantages [B], 0 to 1.

    Scaled rewards make the deviation of returns about 1. If advantages vary by less than SIGNAL of
    that, all actions were about equally good, and what differs is the critic's error. Normalised
    advantages, and Adam, would make full steps of it. A solved task would so be unlearned. One
    advantage alone is not normalised.
    """
    if len(advantages) < 2:
        return 1.0
    variance = float(((advantages - advantages.mean()) ** 2).mean())
    return min(1.0, math.sqrt(variance) / SIGNAL)


def trust(ratios: np.ndarray, max_shift: float) -> float:
    """How much the actor may learn from actions with these ratios [B], 0 to 1.

    E[max(0, 1 - pi / mu)] over the actions of mu is the total variation between mu, which acted,
    and pi, the policy now: the share of the decisions that differ. Advantages say little about a
    policy that has moved far away, and what moves it further shows only in actions that come much
    later. So it waits for those: 1 up to half of `max_shift`, then falling, 0 from `max_shift` on.
    """
    shift = float((1 - ratios).clip(0).mean())
    return min(1.0, max(0.0, 2 * (1 - shift / max_shift)))


def _vtrace(config: TrainingConfig, experience: Experience, ratios: Array, correction: Correction) -> Targets:
    values, next_values = experience.values, experience.next_values
    assert values is not None, "vtrace is refused without a critic"
    weights, traces = ratios.clip(0, correction.rho_bar), ratios.clip(0, correction.c_bar)
    deltas = td_errors(experience.rewards, values, next_values, config.gamma) * experience.valid
    errors = vtrace(deltas, weights, config.gae_lambda * traces, experience.dones, config.gamma)
    advantages = vtrace_advantages(
        experience.rewards, values, next_values, errors, weights, experience.dones, config.gamma
    )
    return Targets(advantages, errors + values)
