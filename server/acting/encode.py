"""Ticket to answer, in the kind of arrays that came.

Raw answers are written by hand, byte for byte as protobuf writes them: to build and serialise the nested
messages takes five times as long, a tenth of the time that a whole request of one row takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray, IntArray
from server.acting.ticket import Decision, Ticket
from server.acting.wire import varint
from server.models.version import LoadedVersion

ACTIONS = "actions"  # the only field of integers
LOG_PROBS, VALUES = "log_probs", "values"

# A tag is the field's number << 3, plus its wire type: 0 a varint, 2 length-delimited.
_FIELDS = ActResponse.DESCRIPTOR.fields_by_name
_NUMBERS = {name: field.number for name, field in _FIELDS.items()}
_BATCH_SIZE = bytes([_NUMBERS["batch_size"] << 3])
_SEED = bytes([_NUMBERS["seed"] << 3])
_RAW = b"\x0a"  # of FloatArray and IntArray
_RESPONSE, _PINNED = b"\x0a", b"\x10\x01"  # of StreamActResponse: `response`, and `pinned` where it is true


def wants_raw(request: ActRequest) -> bool:
    """Whether the observations came as bytes, so that the answer's arrays go out as bytes."""
    return bool(request.observations.raw or request.typed_observations)


def answer_for(ticket: Ticket, decision: Decision, *, raw: bool) -> bytes:
    """A serialised ActResponse to a request whose observations came as raw bytes, or else as numbers."""
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
    """A serialised ActResponse with raw arrays; `columns` by field."""
    parts = [model.receipt, _BATCH_SIZE, varint(rows)]
    if seed:
        parts += (_SEED, varint(seed))
    for name, data in columns.items():
        parts += (_head(name, len(data)), data)
    return b"".join(parts)


def plain_answers(
    model: LoadedVersion, counts: Sequence[int], seeds: Sequence[int], columns: Sequence[tuple[str, bytes]]
) -> list[bytes]:
    """`raw_answer` for several requests with these rows, whose columns stand one after another."""
    total = sum(counts)
    sizes = tuple([(name, len(data) // total) for name, data in columns])
    answers = []
    start = 0
    for rows, seed in zip(counts, seeds, strict=True):
        batch_size, *heads = _frame(rows, sizes)
        parts = [model.receipt, batch_size]
        if seed:
            parts += (_SEED, varint(seed))
        stop = start + rows
        for head, (_, data), (_, size) in zip(heads, columns, sizes, strict=True):
            parts += (head, data[start * size : stop * size])
        answers.append(b"".join(parts))
        start = stop
    return answers


@lru_cache(maxsize=1024)
def answer_form(
    receipt: bytes, rows: int, seed_bytes: int, sizes: tuple[tuple[str, int], ...]
) -> tuple[bytes, np.dtype[np.void]]:
    """A `raw_answer` whose seed and columns are zeros, and where these stand in it.

    `seed_bytes`: of the varint; `sizes`: the bytes of one row of each column.
    """
    data = receipt + _BATCH_SIZE + varint(rows) + _SEED
    offsets, formats = [len(data)], [("u1", (seed_bytes,))]
    data += bytes(seed_bytes)
    for name, size in sizes:
        data += _head(name, rows * size)
        offsets.append(len(data))
        number = np.dtype("<i8" if name == ACTIONS else "<f4")
        formats.append((number.str, (rows * size // number.itemsize,)))
        data += bytes(rows * size)
    names = ["seed", *(name for name, _ in sizes)]
    return data, np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": len(data)})


def stream_answer(answer: bytes, *, pinned: bool) -> bytes:
    """A serialised StreamActResponse around a serialised ActResponse."""
    return b"".join((_RESPONSE, varint(len(answer)), answer, _PINNED if pinned else b""))


@lru_cache(maxsize=4096)
def _frame(rows: int, sizes: tuple[tuple[str, int], ...]) -> tuple[bytes, ...]:
    """What stands before the seed, and before each array: `sizes` are the bytes of one of its rows."""
    return _BATCH_SIZE + varint(rows), *(_head(name, rows * size) for name, size in sizes)


@lru_cache(maxsize=4096)
def _head(name: str, length: int) -> bytes:
    """What stands before the bytes of a raw array: its message's tag and length, its own tag and length."""
    inner = _RAW + varint(length)
    return varint(_NUMBERS[name] << 3 | 2) + varint(len(inner) + length) + inner
