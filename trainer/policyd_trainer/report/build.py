"""The files of a version's report."""

from __future__ import annotations

import numpy as np

from policyd.repository.report import REPORT
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.evaluation.figures import first_seed
from policyd_trainer.report import learning_curve, pictures
from policyd_trainer.report.animation import film
from policyd_trainer.report.aside import Part, made
from policyd_trainer.report.page import Pictures, page
from policyd_trainer.report.subject import Player, Subject

RETURNS = "returns.png"
ACTIONS = "actions.png"
EPISODE = "episode.gif"


def build(subject: Subject) -> dict[str, bytes]:
    """report.html and the pictures that it shows, by file name.

    Pictures that cannot be drawn are left out.
    """
    metadata = subject.metadata
    shown = Pictures(
        made("The learning curve", _learning_curve, subject),
        made("The picture of the returns", _returns, subject),
        made("The picture of the actions", _actions, subject),
        made("The animation", _episode, subject),
    )
    files = {
        learning_curve.FILE: shown.learning_curve.content,
        RETURNS: shown.returns.content,
        ACTIONS: shown.actions.content,
        EPISODE: shown.episode.content,
        REPORT: page(metadata, subject.place, _preset(subject.config), subject.verdict, shown).encode(),
    }
    return {name: content for name, content in files.items() if content}


def _learning_curve(subject: Subject) -> Part:
    return Part(learning_curve.draw(subject.curve, subject.episodes, subject.metadata))


def _returns(subject: Subject) -> Part:
    return Part(pictures.returns(subject.metadata, subject.verdict))


def _episode(subject: Subject) -> Part:
    player = Player.of(subject)
    return Part(*film(subject.config, player.info, player.policy))


def _actions(subject: Subject) -> Part:
    """The environment's actions in the states that greedy and sampled episodes visit."""
    player = Player.of(subject)
    greedy, sampled = (player.visited(subject, deterministic=mode) for mode in (True, False))
    policy, to_environment = player.policy, player.info.codec.to_environment
    rng = np.random.default_rng(first_seed(subject.config.seed, "report"))
    noise = policy.distribution.noise(rng, 1, len(sampled))[0]
    chosen = to_environment(policy.mode(greedy)), to_environment(policy.sample(sampled, noise))
    return Part(pictures.actions(subject.metadata.action_space, *chosen))


def _preset(config: TrainingConfig) -> dict[str, str]:
    """The settings that the run would have had without any settings of its own."""
    chosen = {"preset": config.preset}
    return resolve_config(config.policy, config.env_id, config.algorithm, config.seed, chosen).settings()
