"""The files of a version's report. One that fails costs no version: it is left out, and the log says why."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo
from trainer.evaluation.figures import first_seed
from trainer.report import pictures
from trainer.report.animation import film
from trainer.report.page import Pictures, page
from trainer.rollouts.policy import ActingPolicy

REPORT = "report.html"
RETURNS = "returns.png"
ACTIONS = "actions.png"
EPISODE = "episode.gif"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What is reported on."""

    config: TrainingConfig
    info: EnvironmentInfo
    policy: ActingPolicy
    visited: np.ndarray  # [V, D], observations of evaluation episodes
    metadata: PolicyMetadata
    verdict: GateVerdict | None  # None: no promotion was asked for
    learning_curve: bytes  # PNG


def build(subject: Subject) -> dict[str, bytes]:
    """report.html and what it shows, by file name; empty where it failed."""
    try:
        return _build(subject)
    except Exception:  # a picture is not worth a trained policy
        logger.exception("the report failed; the version is published without it")
        return {}


def _build(subject: Subject) -> dict[str, bytes]:
    returns = pictures.returns(subject.metadata, subject.verdict)
    actions = pictures.actions(subject.metadata.action_space, *_actions(subject))
    episode, note = film(subject.config, subject.info, subject.policy)
    shown = Pictures(subject.learning_curve, returns, actions, episode, note)
    files = {RETURNS: returns, ACTIONS: actions, EPISODE: episode}
    html = page(subject.metadata, subject.verdict, shown).encode()
    return {name: content for name, content in files.items() if content} | {REPORT: html}


def _actions(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """What the policy does in the visited states, as the environment names it: greedy and sampled [V, ...]."""
    rng = np.random.default_rng(first_seed(subject.config.seed, "report"))
    noise = rng.random((len(subject.visited), *subject.policy.distribution.noise_shape))
    to_environment = subject.info.codec.to_environment
    greedy = to_environment(subject.policy.mode(subject.visited))
    return greedy, to_environment(subject.policy.sample(subject.visited, noise))
