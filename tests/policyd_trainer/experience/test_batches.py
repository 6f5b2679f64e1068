"""A batch of recorded sequences against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.experience.batches import Correction, batch_of, rollout_of
from policyd_trainer.experience.sequences import Sequence

CONFIG = resolve_config(
    "p",
    "E",
    "a2c",
    0,
    {"gamma": "0.9", "gae_lambda": "0.8", "clip_range": "0.2", "preset": "default",
     "normalize_observations": "false", "normalize_rewards": "false", "normalize_advantages": "false"},
)  # fmt: skip


def sequence(rng: np.random.Generator, length: int, *, terminated: bool) -> Sequence:
    return Sequence(
        observations=rng.normal(size=(length, 3)).astype(np.float32),
        actions=rng.integers(2, size=length),
        log_probs=rng.uniform(-2, 0, length).astype(np.float32),
        rewards=rng.normal(size=length).astype(np.float32),
        versions=np.ones(length, np.int64),
        terminated=terminated,
        final_observation=None if terminated else rng.normal(size=3).astype(np.float32),
    )


@pytest.mark.parametrize("seed", range(5))
def test_targets_and_probabilities_are_each_sequences_own(seed: int) -> None:
    """The targets are GAE by its recursion, sequence by sequence.

    After its end a terminated sequence has value 0, and a truncated one V.
    """
    rng = np.random.default_rng(seed)
    made = [sequence(rng, length, terminated=bool(length % 2)) for length in (3, 1, 6, 2)]
    learner = build_learner(CONFIG, network_specs(CONFIG, 3, Categorical(2)), Categorical(2), "cpu")
    rollout = rollout_of(made)
    batch = batch_of(CONFIG, learner, made, rollout, rollout.rewards, None, Correction("clip")).batch
    expected = {}
    for column, one in enumerate(made):
        values = learner.values(one.observations)
        after = 0.0 if one.final_observation is None else learner.values(one.final_observation[None])[0]
        successors, advantage = [*values[1:], after], 0.0
        for t in reversed(range(len(one))):
            delta = one.rewards[t] + 0.9 * successors[t] - values[t]
            advantage = delta + 0.9 * 0.8 * advantage
            expected[t, column] = (one.observations[t], advantage, one.log_probs[t], advantage + values[t])
    order = sorted(expected)  # the batch is flat, with time first
    assert len(batch) == len(order)
    for place, key in enumerate(order):
        observation, advantage, log_prob, target = expected[key]
        np.testing.assert_array_equal(batch.observations[place], observation)
        np.testing.assert_allclose(batch.advantages[place], advantage, rtol=1e-4, atol=1e-5)
        assert batch.old_log_probs is not None
        assert batch.value_targets is not None
        assert batch.old_log_probs[place] == log_prob
        np.testing.assert_allclose(batch.value_targets[place], target, rtol=1e-4, atol=1e-5)


def test_a_step_counts_by_how_probable_it_is_now() -> None:
    """Advantages have the truncated ratio; the update is clipped against the newest policy."""
    made = [sequence(np.random.default_rng(1), length, terminated=True) for length in (3, 2)]
    learner = build_learner(CONFIG, network_specs(CONFIG, 3, Categorical(2)), Categorical(2), "cpu")
    rollout = rollout_of(made)
    plain, weighted, higher = (
        batch_of(CONFIG, learner, made, rollout, rollout.rewards, None, correction).batch
        for correction in (Correction("none"), Correction(), Correction(rho_bar=3.0))
    )
    recorded = [made[column].log_probs[t] for t, column in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))]
    assert plain.old_log_probs is not None
    ratios = np.exp(plain.old_log_probs - np.array(recorded))
    assert ratios.min() < 1 < ratios.max()
    np.testing.assert_allclose(weighted.advantages, plain.advantages * ratios.clip(0, 1), rtol=1e-5)
    np.testing.assert_allclose(higher.advantages, plain.advantages * ratios.clip(0, 3), rtol=1e-5)
    np.testing.assert_array_equal(weighted.old_log_probs, plain.old_log_probs)


def equally_good(rng: np.random.Generator, difference: float) -> list[Sequence]:
    """Episodes of one step with rewards of 5 - difference and 5 + difference."""
    made = [sequence(rng, 1, terminated=True) for _ in range(40)]
    signs = np.tile([-1.0, 1.0], 20)
    return [
        replace(one, rewards=np.array([5 + sign * difference], np.float32))
        for one, sign in zip(made, signs, strict=True)
    ]


@pytest.mark.parametrize(("difference", "expected"), [(0.01, 0.1), (0.05, 0.5), (0.2, 1.0)])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_advantages_that_hardly_differ_are_hardly_learned_from(
    difference: float, expected: float, scale: float
) -> None:
    """A fifth of 5 counts as the deviation of returns. Rewards need not be scaled for that."""
    config = CONFIG.model_copy(update={"normalize_advantages": True})
    learner = build_learner(config, network_specs(config, 3, Categorical(2)), Categorical(2), "cpu")
    assert learner.critic is not None
    learner.critic.parameters[:] = 0
    learner.critic.parameters[-1] = 5 * scale  # the last bias: the value of every state
    made = equally_good(np.random.default_rng(1), difference)
    rollout = rollout_of(made)
    rewards = np.float32(scale) * rollout.rewards
    found = batch_of(config, learner, made, rollout, rewards, None, Correction("none"))
    assert found.trust == pytest.approx(expected, rel=1e-2)
    assert float(np.abs(found.batch.advantages).mean()) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(("difference", "expected"), [(0.2, 1.0), (0.01, 0.0)])
def test_where_advantages_hardly_differ_less_shift_is_allowed(difference: float, expected: float) -> None:
    """Half of the actions have become 20% less probable. That is a shift of a tenth."""
    learner = build_learner(CONFIG, network_specs(CONFIG, 3, Categorical(2)), Categorical(2), "cpu")
    assert learner.critic is not None
    learner.critic.parameters[:] = 0
    learner.critic.parameters[-1] = 5
    made = equally_good(np.random.default_rng(1), difference)
    rollout = rollout_of(made)
    now = batch_of(CONFIG, learner, made, rollout, rollout.rewards, None, Correction("none")).batch
    assert now.old_log_probs is not None
    ratios = np.tile([0.8, 1.2], 20)
    made = [
        replace(one, log_probs=np.array([log_prob - np.log(ratio)], np.float32))
        for one, log_prob, ratio in zip(made, now.old_log_probs, ratios, strict=True)
    ]
    found = batch_of(CONFIG, learner, made, rollout, rollout.rewards, None)
    assert found.trust == expected
    assert bool(np.any(found.batch.advantages != 0)) == bool(expected)
