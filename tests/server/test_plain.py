"""Plain requests are recognised by the bytes that they begin with, and never taken for others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, FloatArray
from server.acting import plain
from server.acting.plain import PlainReader, names_of
from server.acting.wire import read_varint, varint
from server.models.catalog import Catalog
from server.models.version import LoadedVersion
from tests.server.compiled.needed import needs_compiler
from tests.server.conftest import Load

MAX_ROWS = 60
POLICIES = ["read", "\u00fc"]
u64 = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def version(load: Load) -> LoadedVersion:
    return load("read")


@pytest.fixture(scope="module")
def catalog(version: LoadedVersion) -> Catalog:
    """Several policies, each with a champion and that version by its number."""
    catalog = Catalog(9)
    catalog.set_policies(POLICIES)
    for policy in POLICIES:
        catalog.swap(policy, {"champion": version, "other": version})
    return catalog


requests = st.builds(
    ActRequest,
    policy=st.sampled_from(["", *POLICIES, "unknown"]),
    observations=st.builds(
        FloatArray,
        raw=st.integers(0, 70).map(lambda rows: bytes(16 * rows)) | st.just(bytes(15)),
        values=st.sampled_from([[], [], [1.0]]),
    ),
    seed=st.none() | u64,
    first_row=st.just(0) | u64,
    deterministic=st.sampled_from([False, False, True]),
    temperature=st.sampled_from([None, None, 0.5]),
)
selectors = st.sampled_from([{}, {"version": 1}, {"version": 77}, {"alias": "other"}, {"alias": "no"}])


@needs_compiler
@settings(deadline=None)
@given(request=requests, selector=selectors, likes=st.lists(st.tuples(st.none() | u64, u64), max_size=4))
def test_what_is_recognised_is_what_protobuf_reads(
    catalog: Catalog,
    request: ActRequest,
    selector: dict[str, int | str],
    likes: list[tuple[int | None, int]],
) -> None:
    """A request and others that begin like it: the version that they name, and where observations stand."""
    request.MergeFrom(ActRequest(**selector))  # type: ignore[arg-type]
    reader, payload = PlainReader(catalog, MAX_ROWS), request.SerializeToString()
    assert reader.read(payload) is None
    remembered = reader.remember(payload, request)
    raw = request.observations.raw
    assert remembered == bool(raw and not request.observations.values)
    for seed, first_row in [(None, 0), *likes]:
        like = ActRequest()
        like.CopyFrom(request)
        like.ClearField("seed")
        if seed is not None:
            like.seed = seed
        like.first_row = first_row
        payload = like.SerializeToString()
        found = reader.read(payload)
        rows, rest = divmod(len(raw), 16)
        model = catalog.at_hand(*names_of(request))
        if not remembered or model is None or rest or rows > MAX_ROWS:
            assert found is None
            continue
        assert found is not None
        assert (found.model, found.rows) == (model, rows)
        assert payload[found.start : found.start + len(raw)] == raw


@needs_compiler
def test_what_was_found_goes_with_a_swap(load: Load) -> None:
    """After a swap the next request of a known kind is for the new version, and nothing keeps the old one."""
    old, new = load("swapped"), load("swapped")
    catalog = Catalog(0)
    catalog.swap("swapped", {"champion": old})
    request = ActRequest(policy="swapped", observations=FloatArray(raw=bytes(16)))
    reader, payload = PlainReader(catalog, MAX_ROWS), request.SerializeToString()
    reader.remember(payload, request)
    before = reader.read(payload)
    assert before is not None
    assert before.model is old
    catalog.swap("swapped", {"champion": new})
    assert not catalog.found
    after = reader.read(payload)
    assert after is not None
    assert after.model is new


def test_the_memory_is_bounded(catalog: Catalog) -> None:
    """However many names clients invent, a bounded number of beginnings is remembered."""
    reader = PlainReader(catalog, MAX_ROWS)
    for number in range(3 * plain.MAX_HEADS):
        rows = FloatArray(raw=bytes(16))
        request = ActRequest(policy="p" * (number % 97), version=number + 1, observations=rows)
        payload = request.SerializeToString()
        assert reader.remember(payload, request)
        assert not reader.remember(payload, request)
        reader.read(payload)
        assert len(reader._heads) <= plain.MAX_HEADS
        assert len(reader._lengths) <= plain.MAX_LENGTHS
        assert len(catalog.found) <= plain.MAX_HEADS


@given(number=u64, before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_varints_survive_the_way_there_and_back(number: int, before: bytes, after: bytes) -> None:
    """What is written is read, wherever it stands; cut short it is not a number."""
    written = varint(number)
    end = len(before) + len(written)
    assert read_varint(before + written + after, len(before)) == (number, end)
    assert read_varint(before + written[:-1], len(before))[0] == -1
