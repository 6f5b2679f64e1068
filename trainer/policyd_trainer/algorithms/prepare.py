"""From a rollout on the host to a batch on the learner's device, in one transfer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.estimate import Experience, Targets, estimate
from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.arrays import Array
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.advantages import normalized
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.rollouts.buffer import Rollout

Estimator = Callable[[TrainingConfig, Experience], Targets]


def make_batch(
    config: TrainingConfig,
    learner: Learner,
    rollout: Rollout,
    rewards: np.ndarray,
    scaling: ObservationScaling | None,
    estimator: Estimator = estimate,
) -> Batch:
    """Computes a rollout's advantages and targets; returns its valid steps as a flat batch.

    Args:
        config: the run's configuration.
        learner: its critic, if there is one, gives the values.
        rollout: the steps as they were collected.
        rewards: the rollout's rewards [T, N], scaled if that is configured.
        scaling: how the observations were scaled for the policy that acted.
        estimator: computes advantages and targets from the rollout and the critic's values.
    """
    asarray = learner.backend.asarray
    late = scaling.on(learner.backend) if scaling is not None and _are_bytes(rollout) else None
    rows = asarray(_rows(rollout, scaling if late is None else None))  # [R, D]
    successors = _successors(rollout)  # [T, N], indices into rows
    bootstrap = _bootstrap(config, rollout)  # [T, N]
    all_values = None if learner.critic is None else learner.values(rows, late)  # [R]
    experience = _experience(learner, rollout, rewards, all_values, successors, bootstrap)
    targets = estimator(config, experience)
    keep = _kept(rollout)
    advantages: Array = _pick(targets.advantages, keep)
    full = config.critic_gradient == "full"
    batch = Batch(
        observations=rows[: rewards.size] if keep is None else rows[keep],
        actions=_pick(asarray(rollout.actions), keep),
        advantages=normalized(advantages) if config.normalize_advantages else advantages,
        scale=_scale(config, rollout),
        values=_pick(experience.values, keep),
        value_targets=_pick(targets.value_targets, keep),
        next_observations=rows[_pick(successors, keep)] if full else None,
        next_discounts=_pick(asarray(config.gamma * bootstrap), keep) if full else None,
        scaling=late,
    )
    return batch if config.clip_range is None else replace(batch, old_log_probs=learner.log_probs(batch))


def ratios(learner: Learner, batch: Batch, rollout: Rollout) -> Array:
    """The ratios pi(a_t|s_t) / mu(a_t|s_t) [T, N], where mu is the policy that acted.

    They are 1 where no step was taken. `batch` is the batch of this rollout.
    """
    assert rollout.log_probs is not None, "another policy acted"
    found = np.ones(rollout.rewards.shape, np.float32)  # [T, N]
    current = learner.backend.to_numpy(learner.log_probs(batch))
    found[rollout.valid] = np.exp((current - rollout.log_probs[rollout.valid]).clip(-20, 20))
    return learner.backend.asarray(found)


def _rows(rollout: Rollout, scaling: ObservationScaling | None) -> np.ndarray:
    """All observations of a rollout as rows [R, D].

    First come s_0 to s_{T-1} of all environments, then s_T, and then the true last observation of
    each episode that ended.
    """
    rows = rollout.observations.reshape(-1, rollout.observations.shape[-1])
    if len(rollout.final_observations):
        rows = np.concatenate((rows, rollout.final_observations))
    return rows if scaling is None else scaling(rows)


def _are_bytes(rollout: Rollout) -> bool:
    """Whether observations are pixels in bytes.

    These are scaled a minibatch at a time, because floats take four times the memory.
    """
    return bool(rollout.observations.dtype == np.uint8)


def _successors(rollout: Rollout) -> np.ndarray:
    """The index [T, N] into `_rows` of each step's true successor."""
    steps, n_envs = rollout.rewards.shape
    successors = np.arange(n_envs, (steps + 1) * n_envs).reshape(steps, n_envs)
    times, envs = rollout.final_index.T
    successors[times, envs] = (steps + 1) * n_envs + np.arange(len(times))
    return successors


def _bootstrap(config: TrainingConfig, rollout: Rollout) -> np.ndarray:
    """1.0 where the value of the successor counts, else 0.0 [T, N].

    After a truncated step it counts, unless `truncation` is `terminate`.
    """
    ends = rollout.dones if config.truncation == "terminate" else rollout.terminated
    return np.asarray(rollout.valid & ~ends, np.float32)


def _experience(
    learner: Learner,
    rollout: Rollout,
    rewards: np.ndarray,
    all_values: Array | None,
    successors: np.ndarray,
    bootstrap: np.ndarray,
) -> Experience:
    asarray, shape = learner.backend.asarray, rewards.shape
    values = next_values = None
    if all_values is not None:
        values = all_values[: rewards.size].reshape(shape)
        if len(rollout.final_index):
            next_values = all_values[successors]
        else:
            next_values = all_values[shape[1] :].reshape(shape)
        next_values = next_values * asarray(bootstrap)
    dones, valid = rollout.dones.astype(np.float32), rollout.valid.astype(np.float32)
    return Experience(asarray(rewards), asarray(dones), asarray(valid), values, next_values)


def _scale(config: TrainingConfig, rollout: Rollout) -> float:
    """The weight of each step in the losses.

    1 / steps gives the mean over steps; 1 / episodes gives the mean of the episodes' sums.
    """
    if config.loss_reduction == "episode_sum":
        return 1 / max(1, int(rollout.dones.sum()))
    return 1 / max(1, rollout.steps)


def _kept(rollout: Rollout) -> np.ndarray | None:
    """The flat indices of the valid steps [B]; None if all are valid."""
    return None if rollout.valid.all() else np.flatnonzero(rollout.valid)


def _pick(array: Array | None, keep: np.ndarray | None) -> Array | None:
    if array is None:
        return None
    flat = array.reshape(-1, *array.shape[2:])
    return flat if keep is None else flat[keep]
