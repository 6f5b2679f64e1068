"""Encodes a ticket's answer in the kind of arrays that the request had.

Raw answers are written by hand, byte for byte as protobuf writes them. To build and serialise the
nested messages would take five times as long.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray, IntArray
from policyd_server.acting.ticket import Decision, Ticket
from policyd_server.acting.wire import varint
from policyd_server.models.version import LoadedVersion

ACTIONS = "actions"  # the only field with integers

# A tag is the field's number << 3, plus its wire type: 0 for a varint, 2 for length-delimited.
_FIELDS = ActResponse.DESCRIPTOR.fields_by_name
_NUMBERS = {name: field.number for name, field in _FIELDS.items()}
_BATCH_SIZE = bytes([_NUMBERS["batch_size"] << 3])
_SEED = bytes([_NUMBERS["seed"] << 3])
_RAW = b"\x0a"  # of FloatArray and IntArray
RESPONSE, PINNED = b"\x0a", b"\x10\x01"  # of StreamActResponse: `response`, and `pinned` with the value true


def wants_raw(request: ActRequest) -> bool:
    """Whether the observations came as bytes, so that the response's arrays are bytes too."""
    return bool(request.observations.raw or request.typed_observations)


def answer_for(ticket: Ticket, decision: Decision, *, raw: bool) -> bytes:
    """Returns a serialised ActResponse.

    `raw`: its arrays are raw bytes, otherwise lists of numbers.
    """
    if raw:
        return raw_answer(ticket.model, ticket.rows, ticket.seed, decision.columns)
    columns = dict(decision.columns)
    integers = columns.pop(ACTIONS, None)
    return ActResponse(
        policy=ticket.model.policy,
        version=ticket.model.version,
        digest=ticket.model.digest,
        batch_size=ticket.rows,
        seed=ticket.seed,
        actions=None if integers is None else IntArray(values=np.frombuffer(integers, np.int64).tolist()),
        **{
            name: FloatArray(values=np.frombuffer(data, np.float32).tolist())
            for name, data in columns.items()
        },
    ).SerializeToString()


def raw_answer(model: LoadedVersion, rows: int, seed: int, columns: dict[str, bytes]) -> bytes:
    """Returns a serialised ActResponse with raw arrays; `columns`: by field."""
    parts = [model.receipt, _BATCH_SIZE, varint(rows)]
    if seed:
        parts += (_SEED, varint(seed))
    for name, data in columns.items():
        parts += (_head(name, len(data)), data)
    return b"".join(parts)


def stream_answer(answer: bytes, *, pinned: bool) -> bytes:
    """Returns a serialised StreamActResponse around a serialised ActResponse."""
    return b"".join((RESPONSE, varint(len(answer)), answer, PINNED if pinned else b""))


@lru_cache(maxsize=4096)
def _head(name: str, length: int) -> bytes:
    """Returns the bytes before a raw array of `length` bytes.

    They are tag and length of its message, then tag and length of the array.
    """
    inner = _RAW + varint(length)
    return varint(_NUMBERS[name] << 3 | 2) + varint(len(inner) + length) + inner
