"""Which steps of a recorded episode are learned from, and with which successor."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import scipy.stats

from policy_api.v1 import experience_pb2 as pb
from policyd_trainer.config import resolve_config
from policyd_trainer.experience.sequences import sequence_of
from policyd_trainer.spaces.actions import codec_for
from policyd_trainer.spaces.boxes import GaussianOptions
from policyd_trainer.spaces.observations import encoder_for

OPTIONS = GaussianOptions.of(resolve_config("p", "E", "a2c", 0, {}))
ENCODER = encoder_for(gym.spaces.Box(-1, 1, (2,)))
CODEC = codec_for(gym.spaces.Discrete(3), OPTIONS)


def row(step: int) -> np.ndarray:
    return np.array([step, -step], "<f4")


def episode(reported: str, end: pb.End.ValueType, numbers: tuple[int, ...] | None = None) -> pb.Episode:
    """Steps 0, 1, ...; in `reported`, x is a step with an outcome and . one without."""
    made = pb.Episode(end=end, final_observation=row(99).tobytes() if end == pb.TRUNCATED else b"")
    for index, mark in enumerate(reported):
        number = index if numbers is None else numbers[index]
        made.steps.add(
            step=number,
            version=number + 1,
            observation=row(number).tobytes(),
            action=np.array([number % 3], "<i8").tobytes(),
            log_prob=-0.1 * number,
            reported=mark == "x",
            reward=10.0 + number,
        )
    return made


@pytest.mark.parametrize(
    ("reported", "end", "length", "terminated", "successor"),
    [
        ("xxx", pb.TERMINATED, 3, True, None),
        ("xxx", pb.TRUNCATED, 3, False, 99),
        ("xx.x", pb.TERMINATED, 2, False, 2),  # a hole: cut before it, bootstrapped from its observation
        ("xxx", pb.ABANDONED, 2, False, 2),  # the last step's reward does not count
        ("xx.", pb.ABANDONED, 2, False, 2),  # silent after a decision
        ("x", pb.TERMINATED, 1, True, None),  # a bandit
    ],
)
def test_the_longest_prefix(
    reported: str, end: pb.End.ValueType, length: int, terminated: bool, successor: int | None
) -> None:
    """A sequence has its steps, whether it terminated, and the observation after it."""
    sequence = sequence_of(episode(reported, end), ENCODER, CODEC)
    assert sequence is not None
    assert (len(sequence), sequence.terminated) == (length, terminated)
    assert sequence.rewards.tolist() == [10.0 + step for step in range(length)]
    assert sequence.versions.tolist() == [step + 1 for step in range(length)]
    assert sequence.observations.tolist() == [row(step).tolist() for step in range(length)]
    if successor is None:
        assert sequence.final_observation is None
    else:
        assert sequence.final_observation is not None
        assert sequence.final_observation.tolist() == row(successor).tolist()


@pytest.mark.parametrize(
    "made", [episode(".", pb.ABANDONED), episode("x", pb.ABANDONED), episode("", pb.TERMINATED)]
)
def test_an_episode_without_a_step_to_learn_from(made: pb.Episode) -> None:
    """An episode has no outcome, or only that of a client that gave up: it gives no sequence."""
    assert sequence_of(made, ENCODER, CODEC) is None


@pytest.mark.parametrize("end", [pb.TERMINATED, pb.TRUNCATED])
def test_a_sequence_names_its_caller(end: pb.End.ValueType) -> None:
    made = episode("xxx", end)
    made.caller = "robot"
    sequence = sequence_of(made, ENCODER, CODEC)
    assert sequence is not None
    assert sequence.caller == "robot"


def test_a_missing_decision_is_a_hole() -> None:
    """Only steps 0 and 2 were recorded.

    The successor of step 0 is unknown, so nothing can be learned.
    """
    assert sequence_of(episode("xx", pb.TERMINATED, (0, 2)), ENCODER, CODEC) is None


def test_an_observation_of_another_size_is_named() -> None:
    """An observation from an earlier space of the same policy is an error that names it."""
    other = encoder_for(gym.spaces.Box(-1, 1, (3,)))
    with pytest.raises(ValueError, match="got 2 numbers, expected 3"):
        sequence_of(episode("x", pb.TERMINATED), other, CODEC)


def test_an_observation_that_is_not_finite_is_named() -> None:
    """A server may have recorded a client's final observation unchecked; the error names it."""
    told = episode("x", pb.TRUNCATED)
    told.final_observation = np.array([0, np.inf], "<f4").tobytes()
    with pytest.raises(ValueError, match="NaN or infinity"):
        sequence_of(told, ENCODER, CODEC)


@pytest.mark.parametrize("squash", ["clip", "tanh"])
def test_densities_are_in_the_policys_units(squash: str) -> None:
    """The server's action for a Box [-2, 6] has the policy's log-probability."""
    options = GaussianOptions(squash=squash)  # type: ignore[arg-type]  # parametrised
    codec = codec_for(gym.spaces.Box(-2, 6, (1,), np.float32), options)
    mean, std, z = 0.3, 0.5, 0.7
    u = mean + std * z
    if squash == "clip":  # the graph's outputs are in the environment's units: 2 + 4 u
        served, density = 2 + 4 * u, scipy.stats.norm(2 + 4 * mean, 4 * std).logpdf(2 + 4 * u)
    else:
        served = u
        density = scipy.stats.norm(mean, std).logpdf(u) - np.log(4 * (1 - np.tanh(u) ** 2))
    made = episode("x", pb.TERMINATED)
    made.steps[0].action = np.array([served], "<f4").tobytes()
    made.steps[0].log_prob = density
    sequence = sequence_of(made, ENCODER, codec)
    assert sequence is not None
    outputs = np.array([[mean, np.log(std)]], np.float32)
    own = codec.distribution.log_probs(np, outputs, sequence.actions)
    np.testing.assert_allclose(sequence.actions, [[u]], rtol=1e-6)
    np.testing.assert_allclose(sequence.log_probs, own, rtol=1e-5)
