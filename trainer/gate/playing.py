"""Plays challenger and champion on the same episodes, from the ONNX files that servers load."""

from __future__ import annotations

import numpy as np
import onnxruntime

from policy_api.errors import FailedPrecondition
from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo, make_plain
from trainer.evaluation.episodes import play
from trainer.gate.decision import Play, Returns
from trainer.gate.intervals import Floats
from trainer.rollouts.policy import ActingPolicy

SIDE_BY_SIDE = 128  # episodes that are stepped together at most


class NotComparable(FailedPrecondition):
    """A model that cannot act in this environment."""

    reason = "NOT_COMPARABLE"


def onnx_policy(model: bytes, info: EnvironmentInfo) -> ActingPolicy:
    """A policy that acts by ONNX Runtime. NotComparable: the model does not load or has other spaces."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise NotComparable(f"the model does not load: {error}") from error
    shape = info.encoder.shape

    def outputs(rows: np.ndarray) -> np.ndarray:
        logits: np.ndarray = session.run(["action_logits"], {"observations": rows.reshape(-1, *shape)})[0]
        return logits

    policy = ActingPolicy(outputs, info.codec.distribution)
    _check(policy, info)
    return policy


def paired_play(
    config: TrainingConfig,
    info: EnvironmentInfo,
    challenger: ActingPolicy,
    champion: ActingPolicy,
    first: int,
) -> Play:
    """Episode i: an ordinary environment reset with seed first + i, and the same noise for sampling."""

    def returns(policy: ActingPolicy, indices: range, *, deterministic: bool) -> Floats:
        blocks = [
            _returns(config, info, policy, indices[start : start + SIDE_BY_SIDE], first, deterministic)
            for start in range(0, len(indices), SIDE_BY_SIDE)
        ]
        return np.concatenate(blocks)

    def play_both(indices: range) -> Returns:
        return Returns(
            challenger_greedy=returns(challenger, indices, deterministic=True),
            champion_greedy=returns(champion, indices, deterministic=True),
            challenger_sampled=returns(challenger, indices, deterministic=False),
            champion_sampled=returns(champion, indices, deterministic=False),
        )

    return play_both


def _returns(
    config: TrainingConfig,
    info: EnvironmentInfo,
    policy: ActingPolicy,
    indices: range,
    first: int,
    deterministic: bool,
) -> Floats:
    seeds = iter(range(first + indices.start, first + indices.stop))
    environments = make_plain(config, info, len(indices), seeds)
    try:
        seed, limit = first + indices.start, config.episode_step_limit
        played = play(environments, policy, seed, deterministic=deterministic, step_limit=limit)
        return played.returns.astype(np.float64)
    finally:
        environments.close()


def _check(policy: ActingPolicy, info: EnvironmentInfo) -> None:
    rows = np.zeros((2, info.encoder.size), np.float32)
    try:
        answered = policy.outputs(rows).shape
    except Exception as error:
        raise NotComparable(f"the model does not take this environment's observations: {error}") from error
    if answered != (wanted := (2, policy.distribution.outputs)):
        raise NotComparable(f"the model answers {answered[1:]} numbers, this environment needs {wanted[1:]}")
