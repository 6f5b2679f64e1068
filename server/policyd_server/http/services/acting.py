"""Act as JSON: arrays are nested lists, and travel to the worker as raw bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import Headers
from starlette.responses import Response

from policy_api.v1 import policy_pb2 as pb
from policyd.errors import InvalidArgument
from policyd_server.http import bodies, fields
from policyd_server.http.endpoints import HotEndpoint
from policyd_server.http.gateway import Gateway
from policyd_server.http.messages import fill, number
from policyd_server.http.numbers import JSON, floats_of
from policyd_server.http.services.operations import Operation

_ARRAYS = {"observations": np.dtype("<f4"), "action_mask": np.dtype(np.bool_)}
_INTEGERS = "actions"


class Asked(NamedTuple):
    """A request for actions."""

    message: pb.ActRequest


class ActEndpoint(HotEndpoint):
    """POST /v1/policies/POLICY:act."""

    def __init__(self, gateway: Gateway, op: Operation) -> None:
        super().__init__(gateway, op.method)
        self._known = frozenset(op.body)

    @property
    def limit(self) -> int:
        """The largest JSON text, which is parsed in one go."""
        return bodies.MAX_JSON_BYTES

    def decode(self, names: Mapping[str, str], headers: Headers, body: bytes) -> Asked:  # noqa: ARG002 -- the interface
        """Returns the request in a JSON body. InvalidArgument: a field is wrong."""
        given = bodies.json_of(body)
        fields.check_known(given, self._known, "")
        message = request_of(given)
        message.policy = names["policy"]
        return Asked(message)

    def encode(self, asked: Asked, answer: pb.ActResponse) -> Response:  # noqa: ARG002 -- the interface
        """Returns the response as JSON."""
        return Response(JSON.encode(response_of(answer)).encode(), media_type="application/json")


def request_of(given: dict[str, Any]) -> pb.ActRequest:
    """Returns the request message in a JSON object. InvalidArgument: a field is wrong."""
    message = pb.ActRequest()
    fill(message, {name: value for name, value in given.items() if name not in _ARRAYS})
    for name, dtype in _ARRAYS.items():
        if given.get(name) is not None:
            raw = floats_of(given[name]) if dtype.kind == "f" else None
            getattr(message, name).raw = raw or _array(given[name], dtype, name).tobytes()
    return message


def response_of(answer: pb.ActResponse) -> dict[str, Any]:
    """Returns the response with one list per row. A row with one number is that number."""
    told: dict[str, Any] = {
        "policy": answer.policy,
        "version": answer.version,
        "digest": answer.digest,
        "batch_size": answer.batch_size,
        "seed": str(answer.seed),
    }
    for field, array in answer.ListFields():
        if field.message_type is not None:
            size, kind = (8, "q") if field.name == _INTEGERS else (4, "f")
            numbers = struct.unpack(f"<{len(array.raw) // size}{kind}", array.raw)
            told[field.name] = _rows(numbers, answer.batch_size, field.name)
    return told


def _array(given: Any, dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    """Returns the numbers of a list, which is flat or evenly nested."""
    values = fields.of_kind(given, list, field)
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, RecursionError):
        array = np.full(1, None)  # the lists are uneven; refused below
    wanted = "bool" if dtype.kind == "b" else "number"
    kinds = "biu" if dtype.kind == "b" else "iuf"
    if array.size and array.dtype.kind not in kinds:
        expected = f"{wanted}s, flat or nested evenly"
        raise InvalidArgument.of(field, got="something else in the array", wanted=expected)
    with np.errstate(over="ignore"):  # it becomes infinite, and the check of all numbers refuses it
        return array.astype(dtype)


def _rows(numbers: Sequence[float], batch: int, field: str) -> list[Any]:
    """Returns lists of shape [batch] or [batch, n].

    Rows of `actions` with one number are plain numbers.
    """
    if not all(map(math.isfinite, numbers)):
        numbers = [number(value) for value in numbers]  # type: ignore[misc]  # some of them become texts
    per_row = len(numbers) // max(batch, 1)
    if per_row == 1 and field in ("actions", "log_probs", "values"):
        return list(numbers)
    return [list(numbers[start : start + per_row]) for start in range(0, len(numbers), max(per_row, 1))]
