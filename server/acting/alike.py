"""Plain requests that are written alike, read and answered as arrays: next to nothing is done for each.

The same answers, bit for bit, as each of them would get on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policy_api.tensors import PROBS
from server import sampling
from server.acting.decode import DRAWN_SEED_BYTES, draw_seed
from server.acting.encode import ACTIONS, LOG_PROBS, VALUES, answer_form
from server.acting.plain import SEED, Layout, Meant
from server.acting.wire import MAX_VARINT
from server.models.version import LoadedVersion
from server.sampling import UInt64

Bytes = NDArray[np.uint8]

# What each byte of a varint adds to the number, and how far its seven bits stand from the lowest.
_WEIGHTS = np.array([1 << 7 * place for place in range(MAX_VARINT)], np.uint64)
_SHIFTS = np.arange(0, 7 * MAX_VARINT, 7, dtype=np.uint64)


class Alike(NamedTuple):
    """Requests of one layout, at most as many as fit into one call."""

    layout: Layout
    meant: Meant
    payloads: Sequence[bytes]


def answers(alike: Alike) -> list[bytes] | None:
    """Their serialised ActResponses, by one call. None: one of them is not what it looks like."""
    layout, (model, rows), payloads = alike
    form = _request(layout.start, layout.size, layout.seed_bytes)
    fields = np.frombuffer(b"".join(payloads), form)
    varints = fields["tail"][:, 1:] if layout.seed_bytes else _varints(len(payloads))
    assert model.bound is not None
    if layout.seed_bytes and not _canonical(fields["tail"]):
        return None
    found = model.bound.infer(fields["observations"].tobytes(), rows * len(payloads))
    if found is None:
        return None
    probs, values = found
    states = sampling.states_from_first_row(_numbers(varints), rows)
    actions = sampling.choose(probs, sampling.uniforms(states))
    log_probs = sampling.log_probs(probs, actions)
    columns: dict[str, NDArray[Any]] = {ACTIONS: actions, PROBS: probs, LOG_PROBS: log_probs}
    if values is not None:
        columns[VALUES] = values
    return _written(model, rows, varints, columns)


def _varints(count: int) -> Bytes:
    """Seeds for requests that name none, [count, DRAWN_SEED_BYTES]."""
    seeds = np.array([draw_seed() for _ in range(count)], np.uint64)
    varints = (seeds[:, None] >> _SHIFTS[:DRAWN_SEED_BYTES]).astype(np.uint8)
    varints |= 0x80
    varints[:, -1] &= 0x7F
    return varints


def _canonical(tails: Bytes) -> bool:
    """Whether each, [B, 1 + bytes of the seed], is a seed other than 0, written as protobuf writes it."""
    mask, wanted = _seed_pattern(tails.shape[1] - 1)
    return (tails & mask).tobytes() == wanted * len(tails) and 0 not in tails[:, -1].tobytes()


@lru_cache
def _seed_pattern(size: int) -> tuple[Bytes, bytes]:
    """Which bits of a tag and a varint are the same for all seeds of this size, and what they are."""
    last = 0xFE if size == MAX_VARINT else 0x80  # the tenth byte has one bit of the 64
    mask = np.array([0xFF, *[0x80] * (size - 1), last], np.uint8)
    return mask, bytes([SEED, *[0x80] * (size - 1), 0])


def _numbers(varints: Bytes) -> UInt64:
    numbers: UInt64 = (varints & 0x7F).astype(np.uint64).dot(_WEIGHTS[: varints.shape[1]])
    return numbers


def _written(
    model: LoadedVersion, rows: int, varints: Bytes, columns: dict[str, NDArray[Any]]
) -> list[bytes]:
    """What differs from answer to answer is written into copies of what does not."""
    count = len(varints)
    sizes = tuple([(name, column.nbytes // (count * rows)) for name, column in columns.items()])
    empty, fields = answer_form(model.receipt, rows, varints.shape[1], sizes)
    data = bytearray(empty * count)
    places = np.frombuffer(data, fields)
    places["seed"] = varints
    for name, column in columns.items():
        places[name] = column.reshape(count, -1)
    written, size = bytes(data), len(empty)
    return [written[start : start + size] for start in range(0, len(written), size)]


@lru_cache(maxsize=256)
def _request(start: int, size: int, seed_bytes: int) -> np.dtype[np.void]:
    tail = ("tail", "u1", (1 + seed_bytes if seed_bytes else 0,))
    return np.dtype([("head", f"V{start}"), ("observations", f"V{size}"), tail])
