"""The files of a version's report. One that fails costs no version: it is left out, and the log says why."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

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
from trainer.runs import picture

REPORT = "report.html"
RETURNS = "returns.png"
ACTIONS = "actions.png"
EPISODE = "episode.gif"

logger = logging.getLogger(__name__)


def build(
    config: TrainingConfig,
    info: EnvironmentInfo,
    policy: ActingPolicy,
    visited: tuple[np.ndarray, np.ndarray],
    metadata: PolicyMetadata,
    verdict: GateVerdict | None,
    files: Mapping[str, Path | bytes],
) -> dict[str, bytes]:
    """report.html and what it shows, by file name; empty where that failed.

    `visited`: what the evaluation's greedy and its sampled episodes observed, [V, D] each; `verdict`: None
    where no promotion was asked for; `files`: those of the version so far, the learning curve among them.
    """
    try:
        curve = files[picture.FILE]
        assert isinstance(curve, bytes), "it is drawn in memory"
        actions = _actions(config, info, policy, visited)
        episode, note = film(config, info, policy)
        shown = Pictures(
            curve,
            pictures.returns(metadata, verdict),
            pictures.actions(metadata.action_space, *actions),
            episode,
            note,
        )
    except Exception:  # a picture is not worth a trained policy
        logger.exception("the report failed; the version is published without it")
        return {}
    made = {RETURNS: shown.returns, ACTIONS: shown.actions, EPISODE: shown.episode}
    html = page(metadata, verdict, shown).encode()
    return {name: content for name, content in made.items() if content} | {REPORT: html}


def _actions(
    config: TrainingConfig,
    info: EnvironmentInfo,
    policy: ActingPolicy,
    visited: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """What the policy does in the states that each way of playing visits, as the environment names it."""
    greedy, sampled = visited
    rng = np.random.default_rng(first_seed(config.seed, "report"))
    noise = policy.distribution.noise(rng, 1, len(sampled))[0]
    to_environment = info.codec.to_environment
    return to_environment(policy.mode(greedy)), to_environment(policy.sample(sampled, noise))
