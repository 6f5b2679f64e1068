"""Observations to an ActRequest, and an ActResponse to arrays. No transport here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy_api import spaces
from policy_api.errors import InvalidArgument
from policy_api.v1 import policy_pb2
from policy_api.v1.artifact_pb2 import Space

Observations = ArrayLike | Sequence[Any]  # an array, or with `space` what an environment answers


@dataclass(frozen=True)
class Actions:
    """One answer: it comes from one version, row i answers observation i."""

    policy: str
    version: int
    #: SHA-256 of the version's model.onnx.
    digest: str
    #: What sampled; 0 for deterministic answers.
    seed: int
    #: Discrete: indices from 0 [batch]. MultiDiscrete: [batch, branches]. MultiBinary: [batch, bits].
    #: Box: vectors [batch, size].
    actions: NDArray[Any]
    action_probs: NDArray[np.float32]  # [batch, n]; Box: [batch, 0]
    log_probs: NDArray[np.float32]  # [batch], natural logarithm
    values: NDArray[np.float32] | None  # [batch]; None where the policy has no critic
    action_mean: NDArray[np.float32]  # Box: [batch, size]; otherwise [batch, 0]
    action_std: NDArray[np.float32]  # likewise
    gaussian_samples: NDArray[np.float32]  # likewise: the normal sample that the action was made of


class ActOptions(TypedDict, total=False):
    """What a request may say beside the observations; everything may be left out."""

    #: The policy's name; not needed where the server has exactly one.
    policy: str
    #: The version that answers; default: what `alias` names.
    version: int | None
    #: Default: `champion`.
    alias: str | None
    #: Makes the sampled actions repeatable, 0 to 2**64 - 1.
    seed: int | None
    #: Sampling index of the first row.
    first_row: int
    #: The most probable action instead of a sample.
    deterministic: bool
    #: [batch, n] booleans: the actions that are allowed.
    action_mask: ArrayLike | None
    #: Divides the logits, above 0.
    temperature: float | None
    #: The policy's observation space (`metadata.observation_space` of a version): `observations` are then a
    #: sequence of what the environment answers (dicts, tuples, images), and go in their own types.
    space: Space | None


def act_request(observations: Observations, **options: Unpack[ActOptions]) -> policy_pb2.ActRequest:
    """The request for `observations` [batch, ...]: raw little-endian float32, or typed, with `space`.

    InvalidArgument: not an array of numbers, not of the space, or a value that its field cannot hold.
    """
    if options.get("version") is not None and options.get("alias") is not None:
        raise InvalidArgument.of("version", got="version and alias", wanted="at most one of the two")
    request = policy_pb2.ActRequest()
    space = options.pop("space", None)
    if space is None:
        request.observations.raw = _float32_bytes("observations", observations)
    else:
        request.typed_observations = _typed_bytes(observations, space)
    mask = options.pop("action_mask", None)
    if mask is not None:
        request.action_mask.raw = np.asarray(mask, dtype=np.bool_).tobytes()
    for field, value in options.items():
        _set(request, field, value)
    return request


def actions_of(response: policy_pb2.ActResponse) -> Actions:
    """The arrays of an answer that came as raw bytes."""
    batch = response.batch_size
    return Actions(
        policy=response.policy,
        version=response.version,
        digest=response.digest,
        seed=response.seed,
        actions=_actions(response, batch),
        action_probs=_rows(response.action_probs, batch),
        log_probs=_floats(response.log_probs),
        values=_floats(response.values) if response.HasField("values") else None,
        action_mean=_rows(response.action_mean, batch),
        action_std=_rows(response.action_std, batch),
        gaussian_samples=_rows(response.gaussian_samples, batch),
    )


def _actions(response: policy_pb2.ActResponse, batch: int) -> NDArray[Any]:
    if response.HasField("vectors"):
        return _rows(response.vectors, batch)
    indices = np.frombuffer(response.actions.raw, dtype="<i8")
    return indices if indices.size == batch else indices.reshape(batch, -1)


def _rows(array: policy_pb2.FloatArray, batch: int) -> NDArray[np.float32]:
    numbers = _floats(array)
    return numbers.reshape(batch, numbers.size // batch)


def _typed_bytes(observations: Any, space: Space) -> bytes:
    if not isinstance(observations, Sequence | np.ndarray):
        wanted = "a sequence of observations, one a row"
        raise InvalidArgument.of("observations", got=type(observations).__name__, wanted=wanted)
    return spaces.to_typed(spaces.leaves(space), list(observations))


def _float32_bytes(field: str, numbers: ArrayLike) -> bytes:
    try:
        return np.ascontiguousarray(numbers, dtype="<f4").tobytes()
    except (TypeError, ValueError) as error:
        raise InvalidArgument.of(field, got=str(error), wanted="an array of numbers") from error


def _set(request: policy_pb2.ActRequest, field: str, value: object) -> None:
    """Fills one field; leaves it unset for None."""
    if value is None:
        return
    try:
        setattr(request, field, value)
    except (TypeError, ValueError) as error:  # protobuf checks type and range
        raise InvalidArgument.of(field, got=repr(value), wanted=f"a value that fits: {error}") from error


def _floats(array: policy_pb2.FloatArray) -> NDArray[np.float32]:
    return np.frombuffer(array.raw, dtype="<f4")
