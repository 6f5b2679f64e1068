"""From observations to an ActRequest, and from an ActResponse to arrays. No transport here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy_api.v1 import policy_pb2
from policy_api.v1.artifact_pb2 import Space
from policyd import spaces
from policyd.client.arrays import booleans, float32, why_not_an_array
from policyd.client.messages import build
from policyd.errors import Internal, InvalidArgument, PolicydError

#: [batch, ...] numbers; or with `space`, one environment's observation per row.
Observations = ArrayLike | Sequence[Any]

_FLOAT32, _INT64 = np.dtype("<f4"), np.dtype("<i8")


@dataclass(frozen=True)
class Actions:
    """The response to one request.

    One version chose all actions. Row i belongs to observation i.
    """

    policy: str
    version: int
    #: SHA-256 of the version's model.onnx.
    digest: str
    #: The seed of the sampling; 0 for deterministic actions.
    seed: int
    #: Discrete: indices from 0 [batch]. MultiDiscrete: [batch, branches].
    #: MultiBinary: [batch, bits].
    #: Box: vectors [batch, size].
    actions: NDArray[Any]
    action_probs: NDArray[np.float32]  # [batch, n]; Box: [batch, 0]
    log_probs: NDArray[np.float32]  # [batch], natural logarithm
    values: NDArray[np.float32] | None  # [batch]; None if the policy has no critic
    action_mean: NDArray[np.float32]  # Box: [batch, size]; otherwise [batch, 0]
    action_std: NDArray[np.float32]  # Box: [batch, size]; otherwise [batch, 0]
    gaussian_samples: NDArray[np.float32]  # the same shape; the normal sample that became the action


class ActOptions(TypedDict, total=False):
    """The options of a request beside the observations. All may be left out."""

    #: The policy's name; not needed if the server has exactly one.
    policy: str
    #: The version that chooses the actions. Default: the one that `alias` points to.
    version: int | None
    #: Default: `champion`.
    alias: str | None
    #: Makes sampled actions repeatable, 0 to 2**64 - 1. Default: the server draws a seed.
    seed: int | None
    #: The sampling index of the first row. Row i of the request samples with `first_row` + i.
    first_row: int
    #: Choose the most probable action instead of sampling.
    deterministic: bool
    #: [batch, n] booleans: the actions that are allowed.
    action_mask: ArrayLike | None
    #: Divides the logits, above 0.
    temperature: float | None
    #: If several versions share the alias, requests with the same key get the same version. Use the
    #: id of a user or a robot.
    traffic_key: str
    #: The policy's observation space (`metadata.observation_space` of a version). `observations`
    #: are then a sequence of the environment's observations (dicts, tuples, images), sent in their
    #: own types.
    space: Space | None


_OPTIONS = ActOptions.__annotations__.keys()


class ActCodec:
    """Encodes one request and decodes its response. Used by both clients and by their streams.

    The encoded observations carry no shape: the server computes the batch size from their length.
    The codec therefore remembers the shapes, and refuses a response with a different number of
    rows.
    """

    __slots__ = ("_mask_shape", "_shape", "request")

    def __init__(self, observations: Observations, **options: Unpack[ActOptions]) -> None:
        """Encodes `observations` [batch, ...] as raw little-endian float32, or typed with `space`.

        Raises:
            TypeError: an option that does not exist.
            InvalidArgument: observations that are not numbers or not of the space, or an option
                whose value its field cannot hold.
        """
        if not options.keys() <= _OPTIONS:
            unknown = min(options.keys() - _OPTIONS)
            raise TypeError(f"unknown option {unknown!r}; the options are {', '.join(sorted(_OPTIONS))}")
        if options.get("version") is not None and options.get("alias") is not None:
            raise InvalidArgument.of("version", got="version and alias", wanted="at most one of the two")
        space, mask = options.pop("space", None), options.pop("action_mask", None)
        self.request: policy_pb2.ActRequest = build(policy_pb2.ActRequest, **options)
        self._shape: tuple[int, ...] | None = None
        self._mask_shape: tuple[int, ...] | None = None
        if space is None:
            numbers = float32("observations", observations, "an array of numbers [batch, ...]")
            self._shape = numbers.shape
            self.request.observations.raw = numbers.tobytes()
        else:
            self.request.typed_observations = _typed(observations, space)
        if mask is not None:
            allowed = booleans(mask)
            self._mask_shape = allowed.shape
            self.request.action_mask.raw = allowed.tobytes()

    def decode(self, response: policy_pb2.ActResponse) -> Actions:
        """Returns the arrays of a response.

        Raises InvalidArgument if it has a different number of rows than was sent, and Internal if
        its bytes cannot be split into rows.
        """
        batch = response.batch_size
        if self._shape is not None and _rows_of(self._shape, batch) != batch:
            raise _regrouped("observations", self._shape, batch)
        if self._mask_shape is not None and _rows_of(self._mask_shape, batch) != batch:
            raise _regrouped("action_mask", self._mask_shape, batch)
        try:
            return _decoded(response, batch)
        except ValueError as error:
            message = f"the response cannot be read as {batch} rows: {error}"
            raise Internal(message, reason="BAD_RESPONSE") from error


def actions_of(fields: dict[str, Any]) -> Actions:
    """Returns Actions with these fields.

    `Actions.__init__` takes three times as long, because it sets each field of the frozen class
    separately.
    """
    made = object.__new__(Actions)
    made.__dict__.update(fields)
    return made


def _decoded(response: policy_pb2.ActResponse, batch: int) -> Actions:
    fields = {
        "policy": response.policy,
        "version": response.version,
        "digest": response.digest,
        "seed": response.seed,
        "actions": _actions(response, batch),
        "action_probs": _rows(response.action_probs.raw, batch),
        "log_probs": np.frombuffer(response.log_probs.raw, _FLOAT32),
        "values": np.frombuffer(response.values.raw, _FLOAT32) if response.HasField("values") else None,
        "action_mean": _rows(response.action_mean.raw, batch),
        "action_std": _rows(response.action_std.raw, batch),
        "gaussian_samples": _rows(response.gaussian_samples.raw, batch),
    }
    return actions_of(fields)


def _rows_of(shape: tuple[int, ...], batch: int) -> int:
    """Returns how many rows the array has: the length of its first axis.

    A flat array may also be a single row. A single number is one row.
    """
    return shape[0] if len(shape) > 1 or (shape and batch != 1) else 1


def _regrouped(field: str, shape: tuple[int, ...], batch: int) -> InvalidArgument:
    per_row = int(np.prod(shape)) // batch if batch else 0
    wanted = f"[batch, ...] with {per_row} numbers in each row: these would be {batch} rows"
    return InvalidArgument.of(field, got=f"shape {shape}", wanted=wanted)


def _actions(response: policy_pb2.ActResponse, batch: int) -> NDArray[Any]:
    if response.HasField("vectors"):
        return _rows(response.vectors.raw, batch)
    indices = np.frombuffer(response.actions.raw, _INT64)
    return indices if indices.size == batch else indices.reshape(batch, -1)


def _rows(raw: bytes, batch: int) -> NDArray[np.float32]:
    """Returns little-endian float32 bytes as [batch, n]. ValueError: their number does not fit."""
    columns = len(raw) // (_FLOAT32.itemsize * batch) if batch else 0
    if columns * _FLOAT32.itemsize * batch != len(raw):
        raise ValueError(f"got {len(raw)} bytes of float32")
    return np.ndarray((batch, columns), _FLOAT32, raw)


def _typed(observations: Any, space: Any) -> bytes:
    if not isinstance(space, Space):
        wanted = "the message metadata.observation_space of a version"
        raise InvalidArgument.of("space", got=type(space).__name__, wanted=wanted)
    try:
        if not isinstance(observations, Iterable) or isinstance(observations, Mapping | str | bytes):
            raise TypeError("not a sequence")
        return spaces.to_typed(spaces.leaves(space), list(observations))
    except PolicydError:
        raise
    except Exception as error:
        got = f"{type(observations).__name__} ({why_not_an_array(error)})"
        wanted = "a sequence of observations of the space, one per row"
        raise InvalidArgument.of("observations", got=got, wanted=wanted) from error
