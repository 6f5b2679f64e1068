"""The parts of a report that are drawn: each is a function that its own process calls."""

from __future__ import annotations

import numpy as np

from policyd_trainer.evaluation.figures import first_seed
from policyd_trainer.report import learning_curve, pictures
from policyd_trainer.report.animation import film
from policyd_trainer.report.aside import Part
from policyd_trainer.report.player import Player
from policyd_trainer.report.subject import Subject


def curve(subject: Subject) -> Part:
    """Return over environment steps, and below it entropy and value fit."""
    return Part(learning_curve.draw(subject.curve, subject.episodes, subject.metadata))


def returns(subject: Subject) -> Part:
    """Histograms of the returns of evaluation and gate."""
    return Part(pictures.returns(subject.metadata, subject.verdict))


def actions(subject: Subject) -> Part:
    """The environment's actions in the states that greedy and sampled episodes visit."""
    player = Player.of(subject)
    greedy, sampled = (player.visited(subject, deterministic=mode) for mode in (True, False))
    policy, to_environment = player.policy, player.info.codec.to_environment
    rng = np.random.default_rng(first_seed(subject.config.seed, "report"))
    noise = policy.distribution.noise(rng, 1, len(sampled))[0]
    chosen = to_environment(policy.mode(greedy)), to_environment(policy.sample(sampled, noise))
    return Part(pictures.actions(subject.metadata.action_space, *chosen))


def episode(subject: Subject) -> Part:
    """One greedy episode, animated."""
    player = Player.of(subject)
    steps = subject.metadata.evaluation.greedy.mean_length
    return Part(*film(subject.config, player.info, player.policy, steps))
