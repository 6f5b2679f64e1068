"""Converts observations of every Gymnasium space to rows of numbers and back.

`Space` in artifact.proto defines the layout. Trainer, server and clients all use this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from policy_api.v1.artifact_pb2 import Space
from policyd.counted import counted
from policyd.errors import InvalidArgument, UnsupportedSpace

Float32 = NDArray[np.float32]
Kind = Literal["box", "discrete", "multi_discrete", "multi_binary"]


@dataclass(frozen=True)
class Leaf:
    """A space without members, and its path inside the Dict and Tuple spaces around it."""

    # names and positions, the outermost first; () if there are no spaces around it
    path: tuple[str | int, ...]
    kind: Kind
    shape: tuple[int, ...]  # shape of one observation
    dtype: np.dtype[Any]  # the space's own type
    space: Space

    @property
    def size(self) -> int:
        """How many numbers of a row belong to the leaf."""
        return math.prod(self.shape)

    @property
    def name(self) -> str:
        """`observations`, `observations.camera`, `observations.camera[0]`, ..."""
        return "observations" + "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in self.path)


def leaves(space: Space, path: tuple[str | int, ...] = ()) -> tuple[Leaf, ...]:
    """Returns the leaves in the order of their numbers in a row.

    Raises:
        UnsupportedSpace: the description names a kind that this release does not know.
    """
    kind = space.WhichOneof("kind")
    if kind == "box":
        return (Leaf(path, kind, tuple(space.box.shape), np.dtype(space.box.dtype), space),)
    if kind == "discrete":
        return (Leaf(path, kind, (), np.dtype(np.int64), space),)
    if kind == "multi_discrete":
        return (Leaf(path, kind, tuple(space.multi_discrete.shape), np.dtype(np.int64), space),)
    if kind == "multi_binary":
        return (Leaf(path, kind, tuple(space.multi_binary.shape), np.dtype(np.int8), space),)
    if kind == "dict":
        named: list[tuple[str | int, Space]] = [(member.name, member.space) for member in space.dict.spaces]
    elif kind == "tuple":
        named = list(enumerate(space.tuple.spaces))
    else:
        raise UnsupportedSpace(f"the artifact has a space of kind {kind}, which this release does not know")
    return tuple(leaf for key, member in named for leaf in leaves(member, (*path, key)))


def row_shape(space: Space) -> tuple[int, ...]:
    """Returns the shape of one observation in a request.

    It is a Box's own shape, or (numbers in a row,) for every other space.
    """
    parts = leaves(space)
    if len(parts) == 1 and not parts[0].path and parts[0].shape:
        return parts[0].shape
    return (sum(part.size for part in parts),)


def flatten(parts: Sequence[Leaf], observation: Any) -> Float32:
    """Returns one observation of an environment as a row [D].

    Raises:
        InvalidArgument: naming the part of the observation that is missing or has another shape.
    """
    row = np.empty(sum(part.size for part in parts), np.float32)
    start = 0
    for part in parts:
        end = start + part.size
        row[start:end] = _member(part, observation).reshape(-1)
        start = end
    return row


def flatten_batch(parts: Sequence[Leaf], observations: Any) -> Float32:
    """Returns observations of a vector environment (members are batched) as rows [N, D].

    Raises as `flatten`.
    """
    columns = []
    for part in parts:
        values = np.asarray(_inside(part, observations))
        if values.shape[1:] != part.shape:
            raise InvalidArgument.of(part.name, got=f"shape {values.shape[1:]}", wanted=str(part.shape))
        columns.append(values.reshape(len(values), -1).astype(np.float32))
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def typed_row(parts: Sequence[Leaf]) -> np.dtype[Any]:
    """Returns the numpy type of one observation in ActRequest.typed_observations."""
    fields = [(f"f{i}", part.dtype.newbyteorder("<"), part.shape) for i, part in enumerate(parts)]
    return np.dtype(fields)


def from_typed(parts: Sequence[Leaf], raw: bytes) -> Float32:
    """Returns ActRequest.typed_observations as rows [batch, D].

    Raises InvalidArgument if the bytes are not a whole number of observations.
    """
    row = typed_row(parts)
    if not raw or len(raw) % row.itemsize:
        wanted = f"a multiple of {row.itemsize} bytes, one observation each"
        raise InvalidArgument.of("typed_observations", got=counted(len(raw), "bytes"), wanted=wanted)
    rows = np.frombuffer(raw, row)
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite, which Act refuses
        columns = [rows[name].reshape(len(rows), -1).astype(np.float32) for name in row.names or ()]
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


@dataclass(frozen=True)
class Choices:
    """The columns of a row that hold choices: whole numbers within a range."""

    columns: NDArray[np.int64]  # [K], indices of columns
    low: Float32  # [K]
    high: Float32  # [K], inclusive

    def first_bad(self, rows: Float32) -> int | None:
        """Returns the flat index into `rows` [B, D] of the first number that is not a valid choice.

        None: all are valid.
        """
        chosen = rows[:, self.columns]
        bad: NDArray[np.bool_] = (chosen < self.low) | (chosen > self.high) | (chosen != np.rint(chosen))
        if not bad.any():
            return None
        row, place = divmod(int(bad.argmax()), len(self.columns))
        return row * int(rows.shape[1]) + int(self.columns[place])


def choices(parts: Sequence[Leaf]) -> Choices | None:
    """Returns the columns of Discrete, MultiDiscrete and MultiBinary numbers.

    None: there are none.
    """
    columns: list[int] = []
    low: list[float] = []
    high: list[float] = []
    place = 0
    for part in parts:
        if part.kind != "box":
            starts, counts = choice_ranges(part)
            columns += range(place, place + part.size)
            low += starts
            high += [start + count - 1 for start, count in zip(starts, counts, strict=True)]
        place += part.size
    if not columns:
        return None
    return Choices(np.array(columns), np.array(low, np.float32), np.array(high, np.float32))


def choice_ranges(part: Leaf) -> tuple[list[int], list[int]]:
    """Returns the first value and the count of values, for each number of a leaf that is no Box."""
    if part.kind == "discrete":
        return [part.space.discrete.start], [part.space.discrete.n]
    if part.kind == "multi_discrete":
        branches = part.space.multi_discrete
        return list(branches.start) or [0] * part.size, list(branches.nvec)
    return [0] * part.size, [2] * part.size


def to_typed(parts: Sequence[Leaf], observations: Sequence[Any]) -> bytes:
    """Returns an environment's observations as ActRequest.typed_observations.

    Raises:
        InvalidArgument: as `flatten`, or a number does not fit the type of its part.
    """
    rows = np.empty(len(observations), typed_row(parts))
    for i, observation in enumerate(observations):
        for j, part in enumerate(parts):
            rows[f"f{j}"][i] = _as_typed(part, _member(part, observation))
    return rows.tobytes()


def are_typed(parts: Sequence[Leaf], observations: Sequence[Any]) -> bool:
    """Whether every part has the space's own type. Some environments return another type."""
    return all(np.asarray(_inside(part, one)).dtype == part.dtype for one in observations for part in parts)


def _as_typed(part: Leaf, values: NDArray[Any]) -> NDArray[Any]:
    """Returns the numbers in the part's type. Only floats may be rounded."""
    if values.dtype == part.dtype or part.dtype.kind == "f":
        return values
    with np.errstate(invalid="ignore"):
        typed: NDArray[Any] = values.astype(part.dtype)
    if (typed != values).any():
        got = f"{values.dtype} {values[typed != values].flat[0]}"
        raise InvalidArgument.of(part.name, got=got, wanted=f"what {part.dtype} holds")
    return typed


def _inside(part: Leaf, observation: Any) -> Any:
    for depth, key in enumerate(part.path):
        try:
            observation = observation[key]
        except (KeyError, IndexError, TypeError):
            where = Leaf(part.path[: depth + 1], part.kind, part.shape, part.dtype, part.space).name
            got = sorted(observation) if isinstance(observation, Mapping) else type(observation).__name__
            raise InvalidArgument.of(where, got=f"none ({got})", wanted="a member of that name") from None
    return observation


def _member(part: Leaf, observation: Any) -> NDArray[Any]:
    array = np.asarray(_inside(part, observation))
    if array.shape != part.shape and array.size == part.size == 1:
        array = array.reshape(part.shape)
    if array.shape != part.shape:
        raise InvalidArgument.of(part.name, got=f"shape {array.shape}", wanted=str(part.shape))
    return array
