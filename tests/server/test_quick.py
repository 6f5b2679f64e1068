"""The short ways through the server answer exactly what the long ways answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api import sampling as scalar
from policy_api.v1.policy_pb2 import (
    ActRequest,
    ActResponse,
    FloatArray,
    IntArray,
    StreamActResponse,
)
from repository import ModelRepository
from server.acting import call, encode, quick
from server.acting.batcher import Batcher
from server.acting.decode import ticket_for
from server.acting.plain import PlainReader
from server.acting.queue import Slice
from server.models.version import LoadedVersion, load_version
from tests.server.artifacts import metadata, model

floats = st.floats(-100, 100, width=32)
seeds = st.integers(0, 2**64 - 1)
_READER = PlainReader(lambda *_: None, 10_000)


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


def _answer(request: ActRequest, version: LoadedVersion) -> bytes | None:
    plain = _READER.plain_of(request, version)
    answers = None if plain is None else quick.answers([plain])
    return None if answers is None else answers[0]


@settings(deadline=None)
@given(numbers=st.lists(floats, min_size=4, max_size=4), seed=seeds, first_row=seeds)
def test_one_row_is_answered_alike_on_both_ways(
    version: LoadedVersion, numbers: list[float], seed: int, first_row: int
) -> None:
    """A plain request of one row gets the same bytes at once as through the batcher."""
    raw = np.array(numbers, np.float32).tobytes()
    request = ActRequest(observations=FloatArray(raw=raw), seed=seed, first_row=first_row)
    assert _answer(request, version) == _long_way(request, version)


@pytest.mark.parametrize("rows", [1, 2, 12, 13, 64, 1024])
def test_several_rows_are_answered_alike_on_both_ways(version: LoadedVersion, rows: int) -> None:
    """Few rows, drawn one by one, and many, drawn together, get the same bytes as through the batcher."""
    rng = np.random.default_rng(rows)
    raw = rng.normal(size=(rows, 4)).astype(np.float32).tobytes()
    request = ActRequest(observations=FloatArray(raw=raw), seed=rows, first_row=2**64 - 3)
    assert _answer(request, version) == _long_way(request, version)


@settings(deadline=None, max_examples=30)  # machines are shared
@given(batch=st.lists(st.tuples(st.integers(1, 64), seeds, seeds), min_size=2, max_size=40))
def test_several_are_answered_as_one_by_one(
    version: LoadedVersion, batch: list[tuple[int, int, int]]
) -> None:
    """Joined requests of mixed sizes, more than one call holds, each get their own rows and no others."""
    rng = np.random.default_rng(len(batch))
    requests = [
        ActRequest(
            observations=FloatArray(raw=rng.normal(size=(rows, 4)).astype(np.float32).tobytes()),
            seed=seed,
            first_row=first_row,
        )
        for rows, seed, first_row in batch
    ]
    plain = [one for request in requests if (one := _READER.plain_of(request, version)) is not None]
    assert [one.rows for one in plain] == [rows for rows, _, _ in batch]
    for request, found in zip(requests, Batcher(1).together(plain), strict=True):
        answer, expected = (
            ActResponse.FromString(found or b""),
            ActResponse.FromString(_long_way(request, version)),
        )
        assert (answer.seed, answer.batch_size) == (expected.seed, expected.batch_size)
        # How many rows a call has may change the last bit of a probability.
        probs, wanted = (np.frombuffer(a.action_probs.raw, "<f4") for a in (answer, expected))
        np.testing.assert_allclose(probs, wanted, rtol=1e-5)
        drawn = [
            scalar.sample(p.tolist(), request.seed, (request.first_row + row) & scalar.MASK64)
            for row, p in enumerate(probs.reshape(-1, 3))
        ]
        assert np.frombuffer(answer.actions.raw, "<i8").tolist() == drawn


def test_one_bad_observation_sends_all_the_long_way(version: LoadedVersion) -> None:
    """What is not finite is left to the batcher, which names it."""
    good, bad = (
        _READER.plain_of(
            ActRequest(observations=FloatArray(raw=np.full(4, number, np.float32).tobytes())), version
        )
        for number in (0.0, np.nan)
    )
    assert good is not None
    assert bad is not None
    assert quick.answers([good, bad]) is None


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
    """Everything that asks for more than samples of good rows is left to the batcher."""
    fields: dict[str, object] = {"observations": {"raw": bytes(16)}, "seed": 1, **change}
    assert _answer(ActRequest(**fields), version) is None  # type: ignore[arg-type]


def test_without_a_seed_each_answer_names_its_own(version: LoadedVersion) -> None:
    """The server draws a seed for each request and tells it."""
    request = ActRequest(observations=FloatArray(raw=bytes(16)))
    answers = [_answer(request, version) or b"" for _ in range(20)]
    assert len({ActResponse.FromString(answer).seed for answer in answers}) == 20


@settings(deadline=None)
@given(
    rows=st.integers(1, 2**32 - 1),
    seed=seeds,
    columns=st.dictionaries(
        st.sampled_from(["actions", "action_probs", "log_probs", "values", "vectors", "gaussian_samples"]),
        st.binary(min_size=1, max_size=300),
    ),
    pinned=st.booleans(),
)
def test_hand_written_answers_are_protobufs(
    version: LoadedVersion, rows: int, seed: int, columns: dict[str, bytes], pinned: bool
) -> None:
    """Raw answers parse as the messages that they stand for, on their own and in a stream."""
    answer = encode.raw_answer(version, rows, seed, columns)
    arrays = {
        name: IntArray(raw=data) if name == "actions" else FloatArray(raw=data)
        for name, data in columns.items()
    }
    expected = ActResponse(
        policy="cartpole",
        version=1,
        digest=version.digest,
        batch_size=rows,
        seed=seed,
        **arrays,  # type: ignore[arg-type]  # each name has its own type
    )
    assert ActResponse.FromString(answer) == expected
    streamed = StreamActResponse.FromString(encode.stream_answer(answer, pinned=pinned))
    assert streamed == StreamActResponse(response=expected, pinned=pinned)
