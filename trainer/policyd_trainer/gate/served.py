"""A published model that acts in a run's environments as servers act with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnxruntime

from policy_api.v1.artifact_pb2 import Distribution, GaussianDistribution
from policyd.errors import FailedPrecondition
from policyd.tensors import LOGITS, MEAN, OBSERVATIONS, STD
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.environments.make import EnvironmentInfo
from policyd_trainer.rollouts.policy import ActingPolicy
from policyd_trainer.spaces.boxes import BoxCodec

_FORBIDDEN = np.float32(-1e9)  # logit of a masked action
_EDGE = 1 - 1e-6  # the end of tanh's range up to which its inverse is used


class NotComparable(FailedPrecondition):
    """The model cannot act in this environment."""

    reason = "NOT_COMPARABLE"


@dataclass(frozen=True)
class ServedGaussian(DiagonalGaussian):
    """Normal samples in the units of the model, converted to the units that the codec stores."""

    to_stored: Callable[[np.ndarray], np.ndarray] = field(default=np.asarray)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Samples stored actions [B, size]."""
        return self.to_stored(super().sample(outputs, noise))

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The stored actions [B, size] of the mode."""
        return self.to_stored(super().mode(outputs))


def served_policy(model: bytes, described: Distribution, info: EnvironmentInfo) -> ActingPolicy:
    """A policy that acts by running the model in ONNX Runtime.

    Args:
        model: the bytes of model.onnx.
        described: the distribution in the model's own metadata.
        info: the environment that it is to act in.

    Raises:
        NotComparable: the model does not load, or has other spaces.
    """
    _check_kind(described, info.codec.describe_distribution())
    session = _session(model)
    if isinstance(info.codec, BoxCodec):
        policy = ActingPolicy(_moments(session, info), _gaussian(described.gaussian, info.codec))
    else:
        policy = ActingPolicy(_logits(session, info), info.codec.distribution)
    _try(policy, info)
    return policy


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise NotComparable(f"the model does not load: {error}") from error


def _logits(
    session: onnxruntime.InferenceSession, info: EnvironmentInfo
) -> Callable[[np.ndarray], np.ndarray]:
    def outputs(rows: np.ndarray) -> np.ndarray:
        logits: np.ndarray = session.run([LOGITS], _feed(rows, info))[0]
        mask = rows[:, info.encoder.observed :]  # [N, 0] if the environment has no mask
        return np.where(mask > 0, logits, _FORBIDDEN) if mask.shape[1] else logits

    return outputs


def _moments(
    session: onnxruntime.InferenceSession, info: EnvironmentInfo
) -> Callable[[np.ndarray], np.ndarray]:
    def outputs(rows: np.ndarray) -> np.ndarray:
        mean, std = session.run([MEAN, STD], _feed(rows, info))
        return np.concatenate((mean, np.log(std)), axis=1)

    return outputs


def _feed(rows: np.ndarray, info: EnvironmentInfo) -> dict[str, np.ndarray]:
    observed = np.ascontiguousarray(rows[:, : info.encoder.observed], np.float32)
    return {OBSERVATIONS: observed.reshape(-1, *info.encoder.shape)}


def _gaussian(described: GaussianDistribution, codec: BoxCodec) -> ServedGaussian:
    """The Gaussian, which converts the model's units to the codec's.

    The units of either are u (TANH) or the environment's (CLIP), and the two may differ.
    """
    of_tanh = described.squash == GaussianDistribution.TANH

    def to_stored(samples: np.ndarray) -> np.ndarray:
        if of_tanh and codec.options.squash == "tanh":
            return samples
        units = np.tanh(samples) if of_tanh else (samples - codec.middle) / codec.half
        stored: np.ndarray = (
            np.arctanh(units.clip(-_EDGE, _EDGE)) if codec.options.squash == "tanh" else units
        )
        return stored

    return ServedGaussian(len(codec.half), to_stored=to_stored)


def _check_kind(described: Distribution, wanted: Distribution) -> None:
    kind, wanted_kind = described.WhichOneof("kind"), wanted.WhichOneof("kind")
    agree = kind == wanted_kind
    if agree and kind == "gaussian":
        agree = described.gaussian.size == wanted.gaussian.size
    elif agree:
        agree = described == wanted
    if not agree:
        raise NotComparable(f"its actions are of another space: {kind}, this environment's are {wanted_kind}")


def _try(policy: ActingPolicy, info: EnvironmentInfo) -> None:
    rows = np.ones((2, info.encoder.size), np.float32)
    try:
        answered = policy.outputs(rows).shape
    except Exception as error:
        raise NotComparable(f"the model does not take this environment's observations: {error}") from error
    if answered != (wanted := (2, policy.distribution.outputs)):
        raise NotComparable(f"the model computes {answered[1:]} numbers, this environment needs {wanted[1:]}")
