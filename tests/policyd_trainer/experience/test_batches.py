"""A batch of recorded sequences against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.experience.batches import Correction, batch_of, rollout_of, signal, trust
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


@pytest.mark.parametrize(
    ("now", "expected"), [(0.5, 1.0), (0.65, 1.0), (0.725, 0.5), (0.275, 0.5), (0.8, 0.0), (0.99, 0.0)]
)
def test_trust_falls_with_the_share_of_decisions_that_differ(now: float, expected: float) -> None:
    """One of two equally probable actions has the probability `now`."""
    ratios = np.array([now, 1 - now, now, 1 - now]) / 0.5
    assert trust(ratios, 0.3) == pytest.approx(expected)


def test_advantages_that_hardly_differ_are_hardly_learned_from() -> None:
    """The rate falls with the deviation of the advantages before they are normalised."""
    config = CONFIG.model_copy(update={"normalize_rewards": True, "normalize_advantages": True})
    learner = build_learner(config, network_specs(config, 3, Categorical(2)), Categorical(2), "cpu")
    assert learner.critic is not None
    learner.critic.parameters[:] = 0  # so that advantages are proportional to the rewards
    made = [sequence(np.random.default_rng(1), length, terminated=True) for length in (3, 2)]
    rollout = rollout_of(made)
    large, small, smaller = (
        batch_of(config, learner, made, rollout, scale * rollout.rewards, None, Correction("none"))
        for scale in (np.float32(1), np.float32(1e-2), np.float32(1e-3))
    )
    assert large.trust == 1
    assert 0 < small.trust < 0.5
    assert smaller.trust == pytest.approx(small.trust / 10, rel=1e-3)
    np.testing.assert_allclose(smaller.batch.advantages, large.batch.advantages, rtol=1e-3)


def test_the_rate_is_full_from_a_tenth_of_the_returns_deviation_on() -> None:
    """A tenth is the deviation of -0.1 and 0.1."""
    for size, expected in ((0.05, 0.5), (0.1, 1.0), (2.0, 1.0), (0.0, 0.0)):
        assert signal(3 + size * np.array([1.0, -1.0])) == pytest.approx(expected)
    assert signal(np.array([0.0])) == 1
