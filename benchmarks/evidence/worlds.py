"""Worlds in which the true returns are known, and logs of one policy seen by another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from policyd.evidence import features
from policyd.evidence.intervals import Floats
from policyd.evidence.logs import NORMAL_POWERS, POWERS, Logs

OBSERVED, ACTIONS = 3, 4
_rng = np.random.default_rng(7)
_DRIFT = 0.3 * _rng.standard_normal((ACTIONS, OBSERVED))  # how each action changes the state
_TASTE = _rng.standard_normal((ACTIONS, OBSERVED))  # how each action's reward depends on the state
_BASE = _rng.standard_normal((OBSERVED, ACTIONS))


@dataclass(frozen=True)
class Policy:
    """A softmax of linear logits, or a normal distribution with a linear mean."""

    weights: Floats  # [OBSERVED, ACTIONS], or [OBSERVED, 1] for a continuous action
    temperature: float = 1.0
    std: float = 0.0  # above 0: a continuous action

    def log_probs(self, states: Floats) -> Floats:
        """The log-probabilities of all actions [N, ACTIONS]."""
        logits = states @ self.weights / self.temperature
        normalised: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return normalised

    def log_density(self, states: Floats, u: Floats) -> Floats:
        """The log-density [N] of the actions u [N]."""
        mean = (states @ self.weights)[:, 0]
        density: Floats = -0.5 * ((u - mean) / self.std) ** 2 - np.log(self.std * np.sqrt(2 * np.pi))
        return density


@dataclass(frozen=True)
class Scenario:
    """One kind of log."""

    name: str
    horizon: int
    episodes: int
    acted: Policy
    target: Policy
    recorded: Policy | None = None  # the policy whose probabilities the log claims; None: `acted`
    distrusted: bool = False  # whether CANNOT_TELL is the only right verdict


def _towards(weights: Floats, amount: float) -> Floats:
    """Changes the weights towards actions with higher rewards."""
    return weights + amount * _TASTE.T


def _discrete(name: str, horizon: int, episodes: int, change: float) -> Scenario:
    acted = Policy(0.3 * _BASE)
    return Scenario(name, horizon, episodes, acted, Policy(_towards(0.3 * _BASE, change)))


def _continuous(name: str, horizon: int, episodes: int, change: float) -> Scenario:
    base = 0.3 * _BASE[:, :1]
    better = base + change * _TASTE[:1].T
    return Scenario(name, horizon, episodes, Policy(base, std=0.6), Policy(better, std=0.6))


COVERED = (
    _discrete("1 step, 4 actions, better", 1, 2000, 0.4),
    _discrete("1 step, 4 actions, worse", 1, 2000, -0.4),
    _continuous("1 step, continuous, better", 1, 2000, 0.15),
    _discrete("5 steps, 4 actions, better", 5, 2000, 0.15),
    _continuous("5 steps, continuous, better", 5, 2000, 0.07),
    _discrete("20 steps, 4 actions, better", 20, 2000, 0.08),
)
LONG = (
    replace(_discrete("200 steps, 4 actions, better", 200, 300, 0.15), distrusted=True),
    replace(_continuous("200 steps, continuous, better", 200, 300, 0.3), distrusted=True),
)
_one = _discrete("", 1, 2000, 0.4)
_five = _discrete("", 5, 1000, 0.15)
WRONG = (
    replace(_one, name="1 step: another temperature", acted=replace(_one.acted, temperature=0.4)),
    replace(_one, name="1 step: an older version's", acted=Policy(_towards(0.3 * _BASE, -0.5))),
    replace(_five, name="5 steps: another temperature", acted=replace(_five.acted, temperature=0.5)),
    replace(_five, name="5 steps: uniform", recorded=Policy(0 * _BASE)),
    replace(
        _continuous("", 1, 2000, 0.15),
        name="1 step, continuous: another deviation",
        recorded=Policy(0.3 * _BASE[:, :1], std=0.8),
    ),
)


def draw(scenario: Scenario, rng: np.random.Generator, episodes: int = 0) -> Logs:
    """Draws a log of the scenario."""
    n, acted, target = episodes or scenario.episodes, scenario.acted, scenario.target
    recorded = scenario.recorded or (replace(acted, temperature=1.0) if acted.temperature != 1 else acted)
    if scenario.name.endswith("older version's"):
        recorded = Policy(0.3 * _BASE)
    states = rng.standard_normal((n, OBSERVED))
    rewards, ratios, phi, expected, probes = [], [], [], [], []
    for step in range(scenario.horizon):
        steps = np.full(n, step, np.float64)
        known = features.state_features(states, steps)
        if acted.std:
            u = (states @ acted.weights)[:, 0] + acted.std * rng.standard_normal(n)
            ratio = target.log_density(states, u) - recorded.log_density(states, u)
            mean = states @ target.weights
            wider = [replace(target, std=target.std / p**0.5).log_density(states, u) for p in NORMAL_POWERS]
            probe = np.stack(wider) - recorded.log_density(states, u)
            done = features.normal_features(u[:, None])
            meant = features.normal_means(mean, np.full_like(mean, target.std))
            reward, moved = u * (states @ _TASTE[0]), u[:, None] * _DRIFT[0]
        else:
            probs = np.exp(acted.log_probs(states))
            actions = (probs.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=ACTIONS - 1)
            row = np.arange(n)
            meant_log = target.log_probs(states)
            claimed = recorded.log_probs(states)[row, actions]
            flatter = [replace(target, temperature=1 / p).log_probs(states)[row, actions] for p in POWERS]
            probe = np.stack(flatter) - claimed
            ratio = meant_log[row, actions] - claimed
            done, meant = features.one_hot(actions, ACTIONS), np.exp(meant_log)
            reward, moved = (states * _TASTE[actions]).sum(axis=1), _DRIFT[actions]
        probes.append(probe)
        rewards.append(reward + 0.5 * rng.standard_normal(n))
        ratios.append(ratio)
        phi.append(features.joined(known, done))
        expected.append(features.joined(known, meant))
        states = 0.8 * states + moved + 0.6 * rng.standard_normal((n, OBSERVED))
    return Logs(
        np.stack(rewards, 1),
        np.stack(ratios, 1),
        np.ones((n, scenario.horizon), np.bool_),
        np.stack(phi, 1),
        np.stack(expected, 1),
        np.stack(probes, 2),
    )


def true_return(scenario: Scenario, policy: Policy, episodes: int = 400_000) -> float:
    """The mean return of a policy, from `episodes` episodes that it plays in the same world."""
    rng = np.random.default_rng(1)
    chunk = max(1000, 200_000 // scenario.horizon)
    own = replace(scenario, acted=policy, target=policy, recorded=policy, name="")
    returns = [_returns(own, rng, chunk) for _ in range(-(-episodes // chunk))]
    return float(np.concatenate(returns).mean())


def _returns(scenario: Scenario, rng: np.random.Generator, n: int) -> Floats:
    """Returns without the rewards' noise, and without the records that an estimate needs."""
    policy, total = scenario.acted, np.zeros(n)
    states = rng.standard_normal((n, OBSERVED))
    for _ in range(scenario.horizon):
        if policy.std:
            u = (states @ policy.weights)[:, 0] + policy.std * rng.standard_normal(n)
            total += u * (states @ _TASTE[0])
            moved = u[:, None] * _DRIFT[0]
        else:
            probs = np.exp(policy.log_probs(states))
            actions = (probs.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=ACTIONS - 1)
            total += (states * _TASTE[actions]).sum(axis=1)
            moved = _DRIFT[actions]
        states = 0.8 * states + moved + 0.6 * rng.standard_normal((n, OBSERVED))
    return total
