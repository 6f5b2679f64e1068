"""Act as JSON: arrays are nested lists, and travel to the worker as raw bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_api.v1 import policy_pb2 as pb
from policyd.errors import InvalidArgument
from policyd_server.http import fields
from policyd_server.http.messages import fill, number

_ARRAYS = {"observations": np.dtype("<f4"), "action_mask": np.dtype(np.bool_)}
_INTEGERS = "actions"


def request_of(given: dict[str, Any]) -> pb.ActRequest:
    """The request message in a JSON object. InvalidArgument: a field is wrong."""
    message = pb.ActRequest()
    fill(message, {name: value for name, value in given.items() if name not in _ARRAYS})
    for name, dtype in _ARRAYS.items():
        if given.get(name) is not None:
            getattr(message, name).raw = _array(given[name], dtype, name).tobytes()
    return message


def response_of(answer: pb.ActResponse) -> dict[str, Any]:
    """The answer with one list a row; a row of one number is that number."""
    told: dict[str, Any] = {
        "policy": answer.policy,
        "version": answer.version,
        "digest": answer.digest,
        "batch_size": answer.batch_size,
        "seed": str(answer.seed),
    }
    for field, array in answer.ListFields():
        if field.message_type is not None:
            dtype = "<i8" if field.name == _INTEGERS else "<f4"
            told[field.name] = _rows(np.frombuffer(array.raw, dtype), answer.batch_size, field.name)
    return told


def _array(given: Any, dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    """The numbers of a list, flat or nested evenly."""
    values = fields.of_kind(given, list, field)
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, RecursionError):
        array = np.full(1, None)  # ragged: refused below
    wanted = "bool" if dtype.kind == "b" else "number"
    kinds = "biu" if dtype.kind == "b" else "iuf"
    if array.size and array.dtype.kind not in kinds:
        expected = f"{wanted}s, flat or nested evenly"
        raise InvalidArgument.of(field, got="something else in the array", wanted=expected)
    with np.errstate(over="ignore"):  # it becomes infinite, which is refused where every number is checked
        return array.astype(dtype)


def _rows(array: NDArray[Any], batch: int, field: str) -> list[Any]:
    """[batch] or [batch, n]. Rows of `actions` with one number are plain numbers."""
    per_row = array.size // max(batch, 1)
    flat = per_row == 1 and field in ("actions", "log_probs", "values")
    shaped = array if flat else array.reshape(batch, per_row)
    rows: list[Any] = shaped.tolist()
    if shaped.dtype.kind == "i" or all(map(math.isfinite, array.tolist())):
        return rows
    return [number(row) if flat else [number(value) for value in row] for row in rows]
