"""Plain requests read from their bytes are what protobuf reads."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, FloatArray
from server.acting import plain
from server.acting.plain import Plain, PlainReader
from server.acting.wire import read_varint, varint
from server.models.version import LoadedVersion
from tests.server.conftest import Load

MAX_ROWS = 60
u64 = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def version(load: Load) -> LoadedVersion:
    return load("read")


def _reader(version: LoadedVersion) -> PlainReader:
    """Every name means this version."""
    return PlainReader(lambda *_: version, MAX_ROWS)


def _by_protobuf(payload: bytes, version: LoadedVersion) -> Plain | None:
    return _reader(version).plain_of(ActRequest.FromString(payload), version)


requests = st.builds(
    ActRequest,
    policy=st.sampled_from(["", "read", "\u00fc"]),
    version=st.none() | st.integers(1, 300),
    observations=st.builds(
        FloatArray,
        raw=st.integers(0, 70).map(lambda rows: bytes(range(256))[: 16 * min(rows, 16)] * (rows // 16 or 1)),
        values=st.sampled_from([[], [], [1.0]]),
    ),
    seed=st.none() | u64,
    first_row=st.just(0) | u64,
    deterministic=st.sampled_from([False, False, True]),
    temperature=st.sampled_from([None, None, 0.5]),
)


@settings(deadline=None)
@given(request=requests, likes=st.lists(st.tuples(st.none() | u64, u64), max_size=4))
def test_what_is_recognised_is_what_protobuf_reads(
    version: LoadedVersion, request: ActRequest, likes: list[tuple[int | None, int]]
) -> None:
    """A request and others of its kind, recognised by the bytes that they begin with."""
    reader = _reader(version)
    payload = request.SerializeToString()
    if _by_protobuf(payload, version) is None:
        assert reader.read(payload) is None
        return
    reader.remember(payload, request)
    assert reader.read(payload) == _by_protobuf(payload, version)
    for seed, first_row in likes:
        other = ActRequest()
        other.CopyFrom(request)
        other.ClearField("seed")
        if seed is not None:
            other.seed = seed
        other.first_row = first_row
        like = other.SerializeToString()
        assert reader.read(like) == _by_protobuf(like, version)


def _field(number: int, wire_type: int, data: bytes) -> bytes:
    return varint(number << 3 | wire_type) + data


# Fields of every wire type, known and unknown, in any order and as often as may be.
fields = st.one_of(
    st.builds(lambda n, v: _field(n, 0, varint(v)), st.sampled_from([5, 6, 7, 2, 11, 30]), u64),
    st.builds(lambda n: _field(n, 0, b"\x85\x80\x00"), st.sampled_from([5, 6])),  # a long way to write 5
    st.builds(lambda v: _field(9, 5, np.float32(v).tobytes()), st.floats(0.125, 8, width=32)),
    st.builds(
        lambda n, data: _field(n, 2, varint(len(data)) + data),
        st.sampled_from([1, 3, 16, 30]),
        st.text(st.characters(codec="ascii"), max_size=9).map(str.encode),
    ),
    st.builds(
        lambda rows: _field(4, 2, varint(2 + 16 * rows) + b"\x0a" + varint(16 * rows) + bytes(16 * rows)),
        st.integers(1, 7),
    ),
)


@settings(deadline=None)
@given(tail=st.lists(fields, max_size=4), cut=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_whatever_follows_is_never_read_otherwise_than_by_protobuf(
    version: LoadedVersion, tail: list[bytes], cut: int, order: random.Random
) -> None:
    """Unknown and repeated fields, other orders, cut messages: as protobuf reads them, or not at all."""
    known = ActRequest(policy="read", observations=FloatArray(raw=bytes(16)), seed=3)
    reader = _reader(version)
    reader.remember(known.SerializeToString(), known)
    parts = [ActRequest(policy="read", observations=FloatArray(raw=bytes(16))).SerializeToString(), *tail]
    if order.random() < 0.3:
        order.shuffle(parts)
    payload = b"".join(parts)
    payload = payload[: len(payload) - cut]
    found = reader.read(payload)
    if found is not None:
        assert found == _by_protobuf(payload, version)


def test_the_memory_is_bounded(version: LoadedVersion) -> None:
    """However many names clients invent, a bounded number of beginnings is remembered."""
    reader = _reader(version)
    for number in range(3 * plain.MAX_HEADS):
        rows = FloatArray(raw=bytes(16))
        request = ActRequest(policy="p" * (number % 97), version=number + 1, observations=rows)
        payload = request.SerializeToString()
        reader.remember(payload, request)
        assert reader.read(payload) == _by_protobuf(payload, version)
        assert len(reader._heads) <= plain.MAX_HEADS
        assert len(reader._lengths) <= plain.MAX_LENGTHS


@given(number=u64, before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_varints_survive_the_way_there_and_back(number: int, before: bytes, after: bytes) -> None:
    """What is written is read, wherever it stands; cut short it is not a number."""
    written = varint(number)
    end = len(before) + len(written)
    assert read_varint(before + written + after, len(before)) == (number, end)
    assert read_varint(before + written[:-1], len(before))[0] == -1
