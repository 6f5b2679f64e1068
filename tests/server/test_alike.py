"""Requests that are written alike get together exactly what each gets on its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray
from repository import ModelRepository
from server.acting import alike, quick
from server.acting.alike import Alike
from server.acting.plain import PlainReader
from server.models.version import LoadedVersion, load_version
from tests.server.artifacts import metadata, model

ELEMENTS = 4


@pytest.fixture(scope="module", params=[True, False], ids=["critic", "no critic"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedVersion:
    repository = ModelRepository(tmp_path_factory.mktemp("repository"))
    described = metadata("cartpole", (ELEMENTS,), 3, has_value=request.param)
    repository.publish("cartpole", {"model.onnx": model(described)}, metadata=described)
    return load_version(repository, "cartpole", 1)


def _payloads(rows: int, seeds: Sequence[int | None]) -> list[bytes]:
    rng = np.random.default_rng(rows)
    observations = rng.normal(size=(len(seeds), rows, ELEMENTS)).astype(np.float32)
    return [
        ActRequest(observations=FloatArray(raw=own.tobytes()), seed=seed).SerializeToString()
        for own, seed in zip(observations, seeds, strict=True)
    ]


def _reader(version: LoadedVersion, payload: bytes) -> PlainReader:
    """One that has seen a request like this."""
    reader = PlainReader(lambda *_: version, 10_000)
    reader.remember(payload, ActRequest.FromString(payload))
    return reader


def _together(version: LoadedVersion, payloads: list[bytes]) -> list[bytes] | None:
    reader = _reader(version, payloads[0])
    layouts = {reader.layout(payload) for payload in payloads}
    layout = layouts.pop()
    assert layout is not None
    assert not layouts
    meant = reader.meant_by(layout)
    assert meant is not None
    return alike.answers(Alike(layout, meant, payloads))


def _one_by_one(version: LoadedVersion, payloads: list[bytes]) -> list[bytes]:
    reader = _reader(version, payloads[0])
    plain = [reader.read(payload) for payload in payloads]
    return [answer for one in plain if one for answer in quick.answers([one]) or ()]


def _seeds_of(size: int) -> st.SearchStrategy[int]:
    """Numbers that are varints of so many bytes."""
    return st.integers(1 << 7 * (size - 1), min(2 ** (7 * size), 2**64) - 1)


@settings(deadline=None, max_examples=50)
@given(
    seeds=st.integers(1, 10).flatmap(lambda size: st.lists(_seeds_of(size), min_size=1, max_size=40)),
    rows=st.integers(1, 25),
)
@example(seeds=[2**64 - 1] * 5, rows=1)
@example(seeds=[1, 127], rows=25)
def test_together_as_one_by_one(version: LoadedVersion, seeds: list[int], rows: int) -> None:
    """Seeds of any size, requests of any: the same bytes."""
    payloads = _payloads(rows, seeds)
    assert _together(version, payloads) == _one_by_one(version, payloads)


@pytest.mark.parametrize("rows", [1, 3])
def test_without_seeds_each_gets_one_that_gives_its_answer(version: LoadedVersion, rows: int) -> None:
    """The seeds that are drawn differ, and asking again with them gives the same answers."""
    payloads = _payloads(rows, [None] * 20)
    answers = _together(version, payloads)
    assert answers is not None
    seeds = [ActResponse.FromString(answer).seed for answer in answers]
    assert len(set(seeds)) == len(seeds)
    assert _one_by_one(version, _payloads(rows, seeds)) == answers


def _with_end(end: bytes) -> bytes:
    return _payloads(1, [None])[0] + end


SEED_TAG = ActRequest(seed=0).SerializeToString()[:1]
OTHERS = {
    "seed 0, which no answer repeats": _with_end(ActRequest(seed=0).SerializeToString()),
    "another field": _with_end(ActRequest(first_row=7).SerializeToString()),
    "cut short": _with_end(SEED_TAG + b"\x87"),
    "NaN": _payloads(1, [7])[0][:-6] + b"\0\0\xc0\x7f" + SEED_TAG + b"\x07",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_who_only_looks_alike_is_not_answered_together(version: LoadedVersion, other: bytes) -> None:
    """Requests of the same length and beginning that differ in what they ask, or are wrong."""
    usual = _payloads(1, [7, 8, 9])
    assert len(other) == len(usual[0])
    assert _together(version, usual) is not None
    assert _together(version, [*usual, other]) is None


@pytest.mark.parametrize("varint", [b"\x87\x80\x00", b"\x87" + b"\x80" * 8 + b"\x02"])
def test_a_seed_that_protobuf_would_write_otherwise_is_not_taken_as_it_is(
    version: LoadedVersion, varint: bytes
) -> None:
    """One with a needless byte, and one of more than 64 bits."""
    assert _together(version, [_with_end(SEED_TAG + varint)] * 5) is None
