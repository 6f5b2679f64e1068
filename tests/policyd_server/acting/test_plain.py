"""Plain requests are recognised by the bytes that they begin with, and never taken for others."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, Decision, FloatArray
from policyd.repository import ModelRepository
from policyd_server.acting import plain
from policyd_server.acting.dealing import key_behind
from policyd_server.acting.plain import PlainReader, names_of
from policyd_server.acting.wire import read_varint, varint
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server import artifacts, kinds
from tests.policyd_server.compiled.needed import needs_compiler
from tests.policyd_server.conftest import Load

MAX_ROWS = 60
POLICIES = ["read", "\u00fc"]
u64 = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def version(load: Load) -> LoadedVersion:
    return load("read")


@pytest.fixture(scope="module")
def loaded_versions(version: LoadedVersion) -> LoadedVersions:
    """Several policies, each with a champion and the same version by its number."""
    loaded_versions = LoadedVersions(9)
    loaded_versions.set_policies(POLICIES)
    for policy in POLICIES:
        loaded_versions.swap(policy, {"champion": version, "other": version})
    return loaded_versions


@functools.cache
def _of_pixels() -> LoadedVersion:
    described = kinds.metadata("discrete", "image", policy="camera")
    with tempfile.TemporaryDirectory() as folder:
        repository = ModelRepository(Path(folder))
        repository.publish("camera", {"model.onnx": artifacts.model(described)}, metadata=described)
        return load_version(repository, "camera", 1)


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
    loaded_versions: LoadedVersions,
    request: ActRequest,
    selector: dict[str, int | str],
    likes: list[tuple[int | None, int]],
) -> None:
    """A request and others with the same beginning are recognised.

    The version and the place of the observations are those that protobuf reads.
    """
    request.MergeFrom(ActRequest(**selector))  # type: ignore[arg-type]
    reader, payload = PlainReader(loaded_versions, MAX_ROWS), request.SerializeToString()
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
        model = loaded_versions.at_hand(*names_of(request))
        if not remembered or model is None or rest or rows > MAX_ROWS:
            assert found is None
            continue
        assert found is not None
        assert (found.model, found.rows) == (model, rows)
        assert payload[found.start : found.start + len(raw)] == raw


@needs_compiler
@settings(deadline=None)
@given(
    seed=st.none() | u64,
    first_row=st.just(0) | u64,
    rows=st.integers(1, 5),
    cut=st.integers(0, 3),
    traffic_key=st.sampled_from(["", "a", "a" * 70]),
)
def test_pixels_are_recognised_by_the_names(
    seed: int | None, first_row: int, rows: int, cut: int, traffic_key: str
) -> None:
    """A request with any number of rows is recognised. A malformed one is left to protobuf."""
    model = _of_pixels()
    loaded_versions = LoadedVersions(9)
    loaded_versions.swap("camera", {"champion": model})
    reader = PlainReader(loaded_versions, MAX_ROWS)
    seen = ActRequest(policy="camera", typed_observations=bytes(model.pixels))
    assert reader.remember(seen.SerializeToString(), seen)
    pixels = np.random.default_rng(rows).integers(0, 256, rows * model.pixels - cut, np.uint8).tobytes()
    request = ActRequest(policy="camera", typed_observations=pixels, first_row=first_row)
    request.traffic_key = traffic_key
    if seed is not None:
        request.seed = seed
    payload = request.SerializeToString()
    found = reader.read(payload)
    if found is None:
        assert cut or traffic_key
        return
    answers = None if model.bound is None else model.bound.answers([(found, payload)])
    assert (answers == [None]) == bool(cut or traffic_key)
    if answers != [None]:
        assert (found.model, found.rows, payload[found.start :]) == (model, rows, pixels)
        assert found.floats(payload) == np.frombuffer(pixels, np.uint8).astype(np.float32).tobytes()


@needs_compiler
def test_floats_beside_pixels_are_recognised_by_their_own_header() -> None:
    """A policy for images accepts float32, too. The longer header decides."""
    model = _of_pixels()
    loaded_versions = LoadedVersions(9)
    loaded_versions.swap("camera", {"champion": model})
    reader = PlainReader(loaded_versions, MAX_ROWS)
    pixels = ActRequest(policy="camera", typed_observations=bytes(model.pixels))
    floats = ActRequest(policy="camera", observations=FloatArray(raw=bytes(model.observation_bytes)))
    for request in (pixels, floats):
        payload = request.SerializeToString()
        assert reader.read(payload) is None
        reader.remember(payload, request)
    found = [reader.read(request.SerializeToString()) for request in (floats, pixels)]
    assert [plain is not None and plain.numbers < plain.start for plain in found] == [False, True]


@needs_compiler
def test_what_was_found_goes_with_a_swap(load: Load) -> None:
    """After a swap, the next request of a known kind gets the new version.

    Nothing keeps the old one.
    """
    old, new = load("swapped"), load("swapped")
    loaded_versions = LoadedVersions(0)
    loaded_versions.swap("swapped", {"champion": old})
    request = ActRequest(policy="swapped", observations=FloatArray(raw=bytes(16)))
    reader, payload = PlainReader(loaded_versions, MAX_ROWS), request.SerializeToString()
    reader.remember(payload, request)
    before = reader.read(payload)
    assert before is not None
    assert before.model is old
    loaded_versions.swap("swapped", {"champion": new})
    assert not loaded_versions.found
    after = reader.read(payload)
    assert after is not None
    assert after.model is new


def test_the_memory_is_bounded(loaded_versions: LoadedVersions) -> None:
    """However many names clients invent, the number of remembered beginnings is bounded."""
    reader = PlainReader(loaded_versions, MAX_ROWS)
    for number in range(3 * plain.MAX_HEADERS):
        rows = FloatArray(raw=bytes(16))
        request = ActRequest(policy="p" * (number % 97), version=number + 1, observations=rows)
        payload = request.SerializeToString()
        assert reader.remember(payload, request)
        assert not reader.remember(payload, request)
        reader.read(payload)
        assert len(reader._headers) <= plain.MAX_HEADERS
        assert len(reader._lengths) <= plain.MAX_LENGTHS
        assert len(loaded_versions.found) <= plain.MAX_HEADERS


@given(number=u64, before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_varints_survive_the_way_there_and_back(number: int, before: bytes, after: bytes) -> None:
    """A written number can be read at any place. Cut short, it is not a number."""
    written = varint(number)
    end = len(before) + len(written)
    assert read_varint(before + written + after, len(before)) == (number, end)
    assert read_varint(before + written[:-1], len(before))[0] == -1


def test_numbers_alone_are_no_key() -> None:
    """A seed, a first row and the mode do not identify an episode."""
    numbers = ActRequest(seed=2**64 - 1, first_row=2**62, deterministic=True)
    assert key_behind(b"before" + numbers.SerializeToString(), 6) == ""


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_decision_that_is_cut_short_is_left_to_protobuf(cut: int) -> None:
    """A decision that is cut short raises no error, which would end the loop for all."""
    whole = ActRequest(decisions=[Decision(episode_id="an episode")]).SerializeToString()
    assert key_behind(b"before" + whole[:-cut], 6) is None
