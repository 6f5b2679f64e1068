"""Running moments and what is scaled by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd_trainer.estimators import normalization
from policyd_trainer.estimators.normalization import ObservationScaling, RewardScaler, RunningMoments


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 2**32))
def test_blocks_merge_exactly(sizes: list[int], seed: int) -> None:
    """Mean and deviation equal numpy's over all rows, for any division into blocks."""
    rng = np.random.default_rng(seed)
    blocks = [rng.normal(100.0, 3.0, (size, 2)) for size in sizes]
    moments = RunningMoments.zeros((2,))
    for block in blocks:
        moments.update(block)
    whole = np.concatenate(blocks)
    assert moments.count == len(whole)
    if len(whole) >= 2:
        np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(moments.std, whole.std(axis=0), rtol=1e-6, atol=1e-9)


def test_observation_scaling() -> None:
    """The result is (x - mean) / std, clipped to 10."""
    moments = RunningMoments.zeros((2,))
    moments.update(np.array([[0.0, 10.0], [2.0, 30.0]]))
    scaled = ObservationScaling.of(moments)(np.array([[2.0, 20.0], [1e9, 0.0]], np.float32))
    np.testing.assert_allclose(scaled, [[1.0, 0.0], [10.0, -2.0]], atol=1e-5)


def test_reward_scaler_against_a_slow_loop() -> None:
    """Rewards are divided by the deviation of the running discounted return."""
    rng = np.random.default_rng(0)
    rewards, dones = rng.normal(size=(40, 3)).astype(np.float32), rng.random((40, 3)) < 0.2
    scaler, seen, running = RewardScaler(3, 0.9), [], [0.0, 0.0, 0.0]
    for start in (0, 25):
        block = slice(start, start + 25)
        scaled = scaler.scale(rewards[block], dones[block], np.ones_like(dones[block]))
        for t in range(start, min(start + 25, 40)):
            for n in range(3):
                running[n] = 0.9 * running[n] + rewards[t, n]
                seen.append(running[n])
                if dones[t, n]:
                    running[n] = 0.0
        expected = np.clip(rewards[block] / np.sqrt(np.var(seen) + 1e-8), -10, 10)
        np.testing.assert_allclose(scaled, expected, rtol=1e-5)


def test_rewards_that_hardly_differ_stay_apart() -> None:
    """In episodes of one step that all earn about 1, differences survive the clip."""
    rng = np.random.default_rng(0)
    rewards = (0.98 + 0.02 * rng.random((50, 4))).astype(np.float32)
    ends = np.ones_like(rewards, bool)
    scaled = RewardScaler(4, 0.99).scale(rewards, ends, ends)
    assert np.abs(scaled).max() < 10
    np.testing.assert_allclose(np.corrcoef(scaled.ravel(), rewards.ravel())[0, 1], 1.0, rtol=1e-3)


def test_large_blocks_are_taken_in_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moments do not depend on how many numbers are taken in at once."""
    monkeypatch.setattr(normalization, "LARGEST", 10)
    block = np.random.default_rng(0).normal(3.0, 2.0, (31, 4))
    moments = RunningMoments.zeros((4,))
    moments.update(block)
    assert moments.count == 31
    np.testing.assert_allclose(moments.mean, block.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, block.std(axis=0), rtol=1e-12)


def test_the_first_rewards_of_all() -> None:
    """A single reward has no deviation and stays. Two equal ones are divided by rms / 5."""
    one = np.array([[8.0]], np.float32)
    end = np.ones_like(one, bool)
    np.testing.assert_allclose(RewardScaler(1, 0.9).scale(one, end, end), one)
    two = np.ones((2, 1), np.float32)
    ends = np.ones_like(two, bool)
    np.testing.assert_allclose(RewardScaler(1, 0.9).scale(two, ends, ends), 5 * two, rtol=1e-5)


def test_a_group_is_scaled_as_one() -> None:
    """Columns of a group share the moments of all their values. Columns without a group stay."""
    block = np.array([[0.0, 10.0, 7.0], [2.0, 30.0, 9.0], [1.0, 5.0, 8.0]])
    moments = RunningMoments.for_rows(np.array([0, 0, -1]))
    moments.update(block)
    shared = block[:, :2]
    scaled = ObservationScaling.of(moments)(block.astype(np.float32))
    np.testing.assert_allclose(scaled[:, :2], (shared - shared.mean()) / shared.std(), rtol=1e-5)
    np.testing.assert_array_equal(scaled[:, 2], block[:, 2])
