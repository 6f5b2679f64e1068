"""The policy gradient theorem, on a decision process small enough to enumerate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.estimate import Experience, estimate
from policyd_trainer.algorithms.gradients import actor_gradient
from policyd_trainer.arrays import NumpyBackend
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.networks.closed_form import ClosedFormMlp
from policyd_trainer.networks.mlp import MlpSpec, uniform_parameters

HORIZON, STATES, GAMMA, EPISODES = 3, 2, 0.9, 40_000
P_MOVE = np.array([[0.8, 0.3], [0.4, 0.9]])  # P(next state is 1 | state, action)
REWARDS = np.array([[1.0, -0.5], [0.2, 2.0]])  # [state, action]
EYE = np.eye(STATES)


def policy() -> ClosedFormMlp:
    spec = MlpSpec(STATES, (3,), 2, "tanh")
    parameters = uniform_parameters(spec, np.random.default_rng(4)).astype(np.float64)
    return ClosedFormMlp(spec, parameters, NumpyBackend())


def probabilities(actor: ClosedFormMlp) -> np.ndarray:
    """The probabilities pi(a|s) [state, action]."""
    logits = actor.outputs(EYE)
    result: np.ndarray = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return result


def objective(actor: ClosedFormMlp) -> float:
    """J, the expected sum of gamma^k r_k over every trajectory from state 0.

    k counts from 1, as in the course.
    """
    pi, total = probabilities(actor), 0.0
    for actions in itertools.product(range(2), repeat=HORIZON):
        for nexts in itertools.product(range(2), repeat=HORIZON - 1):
            states = (0, *nexts)
            probability, value = 1.0, 0.0
            for t, (state, action) in enumerate(zip(states, actions, strict=True)):
                probability *= pi[state, action]
                value += GAMMA ** (t + 1) * REWARDS[state, action]
                if t + 1 < HORIZON:
                    move = P_MOVE[state, action]
                    probability *= move if states[t + 1] else 1 - move
            total += probability * value
    return total


def exact_gradient(actor: ClosedFormMlp) -> np.ndarray:
    """Central differences of J [P], which is smooth, so they are accurate to 1e-9."""
    gradient = np.zeros_like(actor.parameters)
    for i in range(len(gradient)):
        for sign in (1, -1):
            actor.parameters[i] += sign * 1e-5
            gradient[i] += sign * objective(actor) / 2e-5
            actor.parameters[i] -= sign * 1e-5
    return np.asarray(gradient)


def sample_episodes(actor: ClosedFormMlp, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Many episodes side by side: (states, actions, rewards), [T, N] each."""
    states, actions = np.zeros((HORIZON, EPISODES), int), np.zeros((HORIZON, EPISODES), int)
    for t in range(HORIZON):
        actions[t] = Categorical(2).sample(actor.outputs(EYE[states[t]]), rng.random(EPISODES))
        if t + 1 < HORIZON:
            states[t + 1] = rng.random(EPISODES) < P_MOVE[states[t], actions[t]]
    return states, actions, REWARDS[states, actions]


@pytest.mark.parametrize("baseline", ["none", "mean", "value"])
@pytest.mark.parametrize("returns", ["episode", "reward_to_go"])
def test_monte_carlo_gradient_is_the_gradient_of_j(returns: str, baseline: str) -> None:
    """The mean over 40,000 episodes is in its 99.99% interval around the exact gradient of J."""
    settings = {"preset": "course", "gamma": str(GAMMA), "returns": returns, "baseline": baseline}
    config = resolve_config("p", "E", "reinforce", 0, settings)
    actor, rng = policy(), np.random.default_rng(7)
    states, actions, rewards = sample_episodes(actor, rng)
    dones = np.zeros_like(rewards)
    dones[-1] = 1.0
    values = np.array([0.3, -0.7])[states] if baseline == "value" else None  # any function of the state
    next_values = None if values is None else 0.0 * values
    targets = estimate(config, Experience(rewards, dones, dones * 0 + 1, values, next_values))
    advantages = targets.advantages
    if returns == "reward_to_go":  # the theorem discounts by gamma^t; the course's first reward has gamma^1
        advantages = advantages * GAMMA ** (1 + np.arange(HORIZON))[:, None]
    groups = np.array_split(rng.permutation(EPISODES), 100)
    estimates = np.array(
        [
            -actor_gradient(
                np,
                Categorical(2),
                actor,
                Batch(
                    EYE[states[:, group]].reshape(-1, STATES),
                    actions[:, group].reshape(-1),
                    advantages[:, group].reshape(-1),
                    1 / len(group),
                ),
                0.0,
            )
            for group in groups
        ]
    )
    exact = exact_gradient(actor)
    error = estimates.mean(axis=0) - exact
    margin = 4.0 * estimates.std(axis=0, ddof=1) / np.sqrt(len(groups))
    assert (np.abs(error) <= margin + 1e-8).all()
    assert np.abs(exact).max() > 5 * margin.max()  # so the interval is narrow enough for the test
