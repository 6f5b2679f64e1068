"""The short way through the server answers exactly what the long way answers."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray
from policyd import sampling as scalar
from policyd.repository import ModelRepository
from policyd_server import compiled
from policyd_server.acting import call, encode
from policyd_server.acting.batcher import Asked, Batcher
from policyd_server.acting.decode import ticket_for
from policyd_server.acting.plain import PlainReader
from policyd_server.acting.queue import Slice
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server.artifacts import fragile, metadata, model
from tests.policyd_server.compiled.needed import needs_compiler

pytestmark = needs_compiler

floats = st.floats(-100, 100, width=32)
seeds = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module", params=[True, False], ids=["critic", "no critic"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedVersion:
    repository = ModelRepository(tmp_path_factory.mktemp("repository"))
    described = metadata("cartpole", (4,), 3, has_value=request.param)
    repository.publish("cartpole", {"model.onnx": model(described)}, metadata=described)
    return load_version(repository, "cartpole", 1)


def _long_way(request: ActRequest, version: LoadedVersion) -> bytes:
    ticket = ticket_for(request, version, 1024)
    call.answer([Slice(ticket, 0, ticket.rows)])
    assert ticket.decision is not None
    return encode.answer_for(ticket, ticket.decision, raw=True)


def _asked(request: ActRequest, version: LoadedVersion) -> Asked | None:
    """The request, as a server reads it that has seen a similar one."""
    reader, payload = PlainReader(LoadedVersions(0), 10_000), request.SerializeToString()
    reader.remember(payload, request)
    plain = reader.read_for(payload, version)
    return None if plain is None else (plain, payload)


def _answer(request: ActRequest, version: LoadedVersion) -> bytes | None:
    asked = _asked(request, version)
    return None if asked is None else Batcher(1).together(version, [asked])[0]


@settings(deadline=None)
@given(numbers=st.lists(floats, min_size=4, max_size=4), seed=seeds, first_row=seeds)
def test_one_row_is_answered_alike_on_both_ways(
    version: LoadedVersion, numbers: list[float], seed: int, first_row: int
) -> None:
    """A plain request of one row gets the same bytes in place as through the batcher."""
    raw = np.array(numbers, np.float32).tobytes()
    request = ActRequest(observations=FloatArray(raw=raw), seed=seed, first_row=first_row)
    assert _answer(request, version) == _long_way(request, version)


@pytest.mark.parametrize("rows", [1, 2, 13, 64, 1024])
def test_several_rows_are_answered_alike_on_both_ways(version: LoadedVersion, rows: int) -> None:
    """A plain request of any size gets the same bytes in place as through the batcher."""
    rng = np.random.default_rng(rows)
    raw = rng.normal(size=(rows, 4)).astype(np.float32).tobytes()
    request = ActRequest(observations=FloatArray(raw=raw), seed=rows, first_row=2**64 - 3)
    assert _answer(request, version) == _long_way(request, version)


@settings(deadline=None, max_examples=30)  # the machine is shared
@given(batch=st.lists(st.tuples(st.integers(1, 64), seeds, seeds), min_size=2, max_size=40))
def test_several_are_answered_as_one_by_one(
    version: LoadedVersion, batch: list[tuple[int, int, int]]
) -> None:
    """Joined requests of mixed sizes each get their own rows and no others.

    They are more than one call can hold.
    """
    rng = np.random.default_rng(len(batch))
    requests = [
        ActRequest(
            observations=FloatArray(raw=rng.normal(size=(rows, 4)).astype(np.float32).tobytes()),
            seed=seed,
            first_row=first_row,
        )
        for rows, seed, first_row in batch
    ]
    asked = [one for request in requests if (one := _asked(request, version)) is not None]
    assert [plain.rows for plain, _ in asked] == [rows for rows, _, _ in batch]
    for request, found in zip(requests, Batcher(1).together(version, asked), strict=True):
        answer, expected = (
            ActResponse.FromString(found or b""),
            ActResponse.FromString(_long_way(request, version)),
        )
        assert (answer.seed, answer.batch_size) == (expected.seed, expected.batch_size)
        # The number of rows in a call may change the last bit of a probability.
        probs, wanted = (np.frombuffer(a.action_probs.raw, "<f4") for a in (answer, expected))
        np.testing.assert_allclose(probs, wanted, rtol=1e-5)
        drawn = [
            scalar.sample(p.tolist(), request.seed, (request.first_row + row) & scalar.MASK64)
            for row, p in enumerate(probs.reshape(-1, 3))
        ]
        assert np.frombuffer(answer.actions.raw, "<i8").tolist() == drawn


def test_one_bad_observation_goes_the_long_way_alone(version: LoadedVersion) -> None:
    """A row that is not finite is left to the batcher, which names it. Others get responses."""
    numbers = [0.0, np.nan, 1.0]
    requests = [
        ActRequest(observations=FloatArray(raw=np.full(4, number, np.float32).tobytes()), seed=9)
        for number in numbers
    ]
    asked = [one for request in requests if (one := _asked(request, version)) is not None]
    answers = Batcher(1).together(version, asked)
    assert answers == [_long_way(requests[0], version), None, _long_way(requests[2], version)]


@pytest.mark.parametrize("rows", [1, 70])
def test_nothing_compiled_gives_the_same_answers(
    version: LoadedVersion, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server installed without a C compiler gives the same responses.

    Logarithms agree to one step of float32.
    """
    raw = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32).tobytes()
    request = ActRequest(observations=FloatArray(raw=raw), seed=3, first_row=2**64 - 2)
    wanted = ActResponse.FromString(_answer(request, version) or b"")
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    found = ActResponse.FromString(_long_way(request, version))
    logs, exact = (np.frombuffer(each.log_probs.raw, np.float32) for each in (found, wanted))
    np.testing.assert_array_max_ulp(logs, exact, maxulp=1)
    found.log_probs.CopyFrom(wanted.log_probs)
    assert found == wanted


@pytest.mark.parametrize(
    "change",
    [
        {"deterministic": True},
        {"temperature": 2.0},
        {"action_mask": {"values": [True, True, True]}},
        {"observations": {"raw": bytes(16 * 1025)}},
        {"observations": {"raw": bytes(15)}},
        {"observations": {"raw": b""}},
        {"observations": {"values": [0.0] * 4}},
        {"observations": {"raw": np.array([np.nan] * 4, np.float32).tobytes()}},
        {"observations": {"raw": np.array([np.inf, 0, 0, 0], np.float32).tobytes()}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_what_is_not_plain_takes_the_long_way(version: LoadedVersion, change: dict[str, object]) -> None:
    """A request that needs more than samples of good rows is left to the batcher."""
    fields: dict[str, object] = {"observations": {"raw": bytes(16)}, "seed": 1, **change}
    assert _answer(ActRequest(**fields), version) is None  # type: ignore[arg-type]


def test_without_a_seed_each_answer_names_its_own(version: LoadedVersion) -> None:
    """The server draws a seed for each request and returns it."""
    request = ActRequest(observations=FloatArray(raw=bytes(16)))
    answers = [_answer(request, version) or b"" for _ in range(20)]
    assert len({ActResponse.FromString(answer).seed for answer in answers}) == 20


@pytest.mark.parametrize("rows", [1, 511, 512, 777, 1024])
def test_what_comes_alone_is_answered_the_same(version: LoadedVersion, rows: int) -> None:
    """Two threads, with half of the rows each, give the same bytes as one."""
    raw = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32).tobytes()
    asked = _asked(ActRequest(observations=FloatArray(raw=raw), seed=rows), version)
    assert asked is not None
    batcher = Batcher(1)
    assert batcher.together(version, [asked], alone=True) == batcher.together(version, [asked])


@pytest.mark.parametrize("place", [0, 1023])
def test_either_half_may_fail(tmp_path: Path, place: int) -> None:
    """What ONNX Runtime raises in a thread is raised.

    The next request succeeds.
    """
    described = metadata("fragile", (4,), 3)
    repository = ModelRepository(tmp_path)
    repository.publish("fragile", {"model.onnx": fragile(described)}, metadata=described)
    version = load_version(repository, "fragile", 1)
    observations = np.zeros((1024, 4), np.float32)
    observations[place] = 100
    bad = _asked(ActRequest(observations=FloatArray(raw=observations.tobytes())), version)
    good = _asked(ActRequest(observations=FloatArray(raw=bytes(observations.nbytes)), seed=1), version)
    assert bad is not None
    assert good is not None
    with pytest.raises(Exception, match="out of data bounds"):
        Batcher(1).together(version, [bad], alone=True)
    assert None not in Batcher(1).together(version, [good], alone=True)


def test_a_version_goes_with_the_last_one_who_holds_it(tmp_path: Path) -> None:
    """A released version frees its session without garbage collection, after both paths."""
    repository = ModelRepository(tmp_path)
    described = metadata("cartpole", (4,), 3)
    repository.publish("cartpole", {"model.onnx": model(described)}, metadata=described)
    held = load_version(repository, "cartpole", 1)
    session = weakref.ref(held.session)
    request = ActRequest(policy="cartpole", observations=FloatArray(raw=bytes(16)), seed=7)
    gc.collect()
    gc.disable()
    try:
        assert _answer(request, held) == _long_way(request, held)
        del held
        assert session() is None
    finally:
        gc.enable()
