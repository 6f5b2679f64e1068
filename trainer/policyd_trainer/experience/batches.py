"""From sequences to a rollout [T, N] and to the batch that the learner takes.

One sequence a column.
"""

from __future__ import annotations

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
from policyd_trainer.experience.trust import callers_of, groups_of, rate, signal, spread, trust
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
    With both, the actor learns only as far as `trust` says; where the advantages hardly differ,
    less shift is allowed. With the other two there is no shift, so the rate falls instead.
    `rewards` [T, N] are the rollout's, scaled if that is configured.
    """
    plain = config.model_copy(update={"normalize_advantages": False})
    make = partial(make_batch, plain, learner, rollout, rewards, scaling)
    batch = make()
    told = signal(learner.backend.to_numpy(batch.advantages), spread(rewards, rollout.valid, config.gamma))
    if correction.kind == "none":
        return _corrected(config, batch, told)
    recorded = np.zeros(rewards.shape, np.float32)  # [T, N]
    for column, sequence in enumerate(sequences):
        recorded[: len(sequence), column] = sequence.log_probs
    asarray = learner.backend.asarray
    if correction.kind == "clip":
        return _corrected(config, replace(batch, old_log_probs=asarray(recorded[rollout.valid])), told)
    current = np.zeros(rewards.shape, np.float32)  # [T, N]
    current[rollout.valid] = learner.backend.to_numpy(batch.old_log_probs)
    ratios = np.exp((current - recorded).clip(-20, 20))  # [T, N]
    trusted = trust(
        ratios[rollout.valid], groups_of(sequences, rollout.valid), correction.max_shift * told
    )  # [B]
    factor = rate(trusted, callers_of(sequences, rollout.valid))
    if correction.kind == "weighted":
        weights = ratios[rollout.valid].clip(0, correction.rho_bar) * trusted
        return _corrected(config, batch, factor, asarray(weights.astype(np.float32)))
    estimator = partial(_vtrace, ratios=asarray(ratios), correction=correction)
    return _corrected(config, make(estimator), factor, asarray(trusted.astype(np.float32)))


def _corrected(
    config: TrainingConfig, batch: Batch, factor: float, weights: Array | float = 1.0
) -> Corrected:
    """The batch with its advantages normalised, if that is configured, and then weighted."""
    advantages = normalized(batch.advantages) if config.normalize_advantages else batch.advantages
    return Corrected(replace(batch, advantages=advantages * weights), factor)


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
