"""Reads observations from the command line or from files.

A file holds JSON, or an array of `numpy.save` or `numpy.savez`; its first bytes tell which. It may
hold one observation or a batch; the shape of the policy's observation space tells which.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_api.v1.artifact_pb2 import Space
from policyd import spaces
from policyd.client.arrays import why_not_an_array
from policyd.errors import InvalidArgument


def read_rows(items: Sequence[str], space: Callable[[], Space]) -> NDArray[np.float32]:
    """Returns observations [batch, ...] from the arguments of a command.

    `space` is called only if the space is needed: for files and for members of a Dict or Tuple.
    Raises InvalidArgument, which names the argument and what is wrong with it.
    """
    if not any(_needs_space(item) for item in items):
        return array("observations", items, np.float32)
    parts = spaces.leaves(space())
    return np.concatenate([_rows(parts, item) for item in items])


def array(name: str, items: Sequence[str], dtype: type[np.generic]) -> NDArray[Any]:
    """Returns an array [batch, ...] from `items`, one row for each item.

    Raises InvalidArgument if an item is not numbers, or if the items have different lengths.
    """
    try:
        return np.stack([np.asarray(_written(item), dtype=dtype) for item in items])
    except (TypeError, ValueError) as error:
        wanted = f"rows of equal length such as 0,0.1 or [0, 0.1]: {why_not_an_array(error)}"
        raise InvalidArgument.of(name, got=" ".join(items), wanted=wanted) from error


def _needs_space(item: str) -> bool:
    """Returns whether the argument is a file, or the members of a Dict or Tuple."""
    if _is_file(item):
        return True
    try:
        np.asarray(_written(item), np.float32)
    except (TypeError, ValueError):
        return item.lstrip().startswith(("[", "{"))
    return False


def _is_file(item: str) -> bool:
    return item == "-" or item.startswith("@")


def _rows(parts: Sequence[spaces.Leaf], item: str) -> NDArray[np.float32]:
    """Returns the rows [B, D] of one argument."""
    try:
        found = _file(parts, item) if _is_file(item) else _written(item)
        return _one_or_many(parts, found)
    except OSError as error:
        raise InvalidArgument.of("observations", got=item, wanted=f"a file to read: {error}") from error
    except (InvalidArgument, TypeError, ValueError, zipfile.BadZipFile) as error:
        shown = item if len(item) < 80 else f"{item[:77]}..."
        wanted = f"observations of the policy's space: {why_not_an_array(error)}"
        raise InvalidArgument.of("observations", got=shown, wanted=wanted) from error


def _one_or_many(parts: Sequence[spaces.Leaf], found: Any) -> NDArray[np.float32]:
    try:
        return spaces.flatten(parts, found)[None]
    except (InvalidArgument, TypeError, ValueError) as single:
        try:
            if isinstance(found, list):
                return np.stack([spaces.flatten(parts, each) for each in found])
            return spaces.flatten_batch(parts, found)
        except (InvalidArgument, TypeError, ValueError):
            raise single from None


def _file(parts: Sequence[spaces.Leaf], item: str) -> Any:
    """Returns the content of a file or of stdin."""
    content = sys.stdin.buffer.read() if item in ("-", "@-") else Path(item[1:]).read_bytes()
    if content.startswith(b"\x93NUMPY"):
        return np.load(io.BytesIO(content), allow_pickle=False)
    if content.startswith(b"PK"):
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            return _nested(parts, dict(members))
    return json.loads(content.decode())


def _nested(parts: Sequence[spaces.Leaf], members: dict[str, NDArray[Any]]) -> Any:
    """Returns the arrays of an .npz as an observation.

    Names: `camera`, `arm.angle`, `0` or `arr_0`.
    """
    if len(parts) == len(members) == 1 and not parts[0].path:
        return next(iter(members.values()))
    observation: dict[str | int, Any] = {}
    for part in parts:
        name = ".".join(map(str, part.path))
        if name not in members and f"arr_{name}" not in members:
            raise InvalidArgument.of(
                part.name,
                got=f"the arrays {sorted(members)}",
                wanted=f"an array {name}" if name else "one array",
            )
        inside = observation
        for key in part.path[:-1]:
            inside = inside.setdefault(key, {})
        inside[part.path[-1]] = members[name] if name in members else members[f"arr_{name}"]
    return observation


def _written(item: str) -> Any:
    text = item.strip()
    return json.loads(text) if text.startswith(("[", "{")) else [float(number) for number in text.split(",")]
