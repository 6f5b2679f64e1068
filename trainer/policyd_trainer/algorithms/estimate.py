"""From a rollout and the critic's values to advantages and value targets.

Here the algorithms differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from policyd_trainer.arrays import Array
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.advantages import gae, td_errors
from policyd_trainer.estimators.returns import episode_return, reward_to_go
from policyd_trainer.estimators.vtrace import vtrace


@dataclass(frozen=True)
class Experience:
    """A rollout as numbers to learn from, in numpy or torch; floats have the learner's type."""

    rewards: Array  # [T, N], scaled where that is configured, 0 where not valid
    dones: Array  # [T, N], 1.0 where an episode ended
    valid: Array  # [T, N], 1.0 where a step was taken
    values: Array | None  # V(s_t) [T, N]; None without a critic
    next_values: Array | None  # [T, N]: V(s_{t+1}) of the true successor, 0 where nothing is bootstrapped


@dataclass(frozen=True)
class Targets:
    """Advantages and value targets, which the losses use. [T, N] each."""

    advantages: Array  # the weights of -log pi(a_t|s_t)
    value_targets: Array | None  # what V(s_t) should be; None without a critic


def estimate(config: TrainingConfig, experience: Experience) -> Targets:
    """Advantages and value targets by the configured algorithm."""
    if config.algorithm == "a2c":
        return _actor_critic(config, experience)
    return _reinforce(config, experience)


def _actor_critic(config: TrainingConfig, experience: Experience) -> Targets:
    """GAE(lambda); targets are A_t + V(s_t). lambda 0 gives the course's TD error and TD target."""
    values, next_values = experience.values, experience.next_values
    assert values is not None, "a2c has a critic"
    deltas = td_errors(experience.rewards, values, next_values, config.gamma)
    advantages = gae(deltas, experience.dones, config.gamma, config.gae_lambda)
    return Targets(advantages, advantages + values)


def corrected(config: TrainingConfig, experience: Experience, ratios: Array) -> Targets:
    """Corrects GAE(lambda) for steps of an older policy mu.

    A_t = rho_t (delta_t + gamma lambda A_{t+1}) with rho_t = min(1, pi(a_t|s_t) / mu(a_t|s_t)).
    `ratios` [T, N] are pi / mu before the minimum. That is V-trace with both bounds 1 (Espeholt et
    al. 2018, remark 1); with ratios of 1 it is GAE(lambda).
    """
    values = experience.values
    assert values is not None, "a2c has a critic"
    weights = ratios.clip(0, 1)
    deltas = td_errors(experience.rewards, values, experience.next_values, config.gamma)
    errors = vtrace(deltas, weights, config.gae_lambda * weights, experience.dones, config.gamma)
    return Targets(errors, errors + values)


def _reinforce(config: TrainingConfig, experience: Experience) -> Targets:
    """The return of the episode or the reward to go, minus the baseline.

    With a learned baseline, truncated episodes bootstrap from its value; without one they cannot.
    The baseline depends on the state only, so it adds no bias to the gradient, whatever it has
    learned.
    """
    rewards, dones = experience.rewards, experience.dones
    final_values = 0.0 * rewards if experience.next_values is None else experience.next_values * dones
    if config.returns == "episode":
        returns = episode_return(rewards, dones, config.gamma)
    else:
        returns = reward_to_go(rewards, dones, final_values, config.gamma)
    if config.baseline == "value":
        return Targets(returns - experience.values, _baseline_targets(config, experience, final_values))
    if config.baseline == "mean":
        weights = dones if config.returns == "episode" else experience.valid  # over episodes, or steps
        return Targets(returns - (returns * weights).sum() / weights.sum(), None)
    return Targets(returns, None)


def _baseline_targets(config: TrainingConfig, experience: Experience, final_values: Array) -> Array:
    """What a learned baseline should predict [T, N].

    Monte-Carlo returns, or TD(lambda) returns, GAE(lambda)_t + V(s_t), which have less variance.
    """
    rewards, dones, values = experience.rewards, experience.dones, experience.values
    if config.baseline_lambda == 1.0:
        return reward_to_go(rewards, dones, final_values, config.gamma)
    assert values is not None, "a learned baseline has a critic"
    deltas = td_errors(rewards, values, experience.next_values, config.gamma)
    return gae(deltas, dones, config.gamma, config.baseline_lambda) + values
