"""Requests that C reads and answers that it writes are protobuf's, byte for byte."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray, IntArray
from policyd import sampling as scalar
from policyd_server import compiled
from policyd_server.acting.wire import varint
from policyd_server.sampling import Float32
from tests.policyd_server.compiled.needed import needs_compiler

if compiled.AVAILABLE:
    from policyd_server.compiled.rows import Rows

pytestmark = needs_compiler

MAX_ROWS, ELEMENTS, ACTIONS = 40, 4, 3
u64 = st.integers(0, 2**64 - 1)
RECEIPT = ActResponse(policy="p", version=3, digest="d" * 64).SerializeToString()


class Call:
    """Buffers like those of a bound session.

    `run` notes its arguments and computes nothing.
    """

    def __init__(self, *, values: bool = True) -> None:
        rng = np.random.default_rng(1)
        self.observations: Float32 = np.zeros((MAX_ROWS, ELEMENTS), np.float32)
        self.probs: Float32 = rng.dirichlet(np.ones(ACTIONS), MAX_ROWS).astype(np.float32)
        self.values: Float32 | None = rng.normal(size=MAX_ROWS).astype(np.float32) if values else None
        self.read: list[bytes] = []  # the observations of each call
        self.rows = Rows(self.observations, self.probs, self.values, self._run, RECEIPT, 7)

    def _run(self, rows: int) -> None:
        self.read.append(self.observations[:rows].tobytes())

    def answers(self, *requests: ActRequest | bytes) -> list[bytes | None]:
        """Responses to requests that begin like those of `_request`."""
        return self.rows.answers([_asked(request) for request in requests])


def _asked(request: ActRequest | bytes) -> tuple[tuple[None, int, int, int], bytes]:
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    rows = 1 if isinstance(request, bytes) else len(request.observations.raw) // (4 * ELEMENTS)
    start = len(_begin(rows))
    return (None, start, rows, start + 4 * ELEMENTS * rows), payload


def _observations(rows: int) -> bytes:
    return np.random.default_rng(rows).normal(size=(rows, ELEMENTS)).astype(np.float32).tobytes()


def _request(rows: int, **fields: int) -> ActRequest:
    return ActRequest(policy="p", observations=FloatArray(raw=_observations(rows)), **fields)  # type: ignore[arg-type]


def _begin(rows: int) -> bytes:
    return _request(rows).SerializeToString()[: -4 * ELEMENTS * rows]


def _expected(call: Call, request: ActRequest, start: int) -> bytes:
    """The response as protobuf writes it, drawn by the definition.

    Its logarithms are taken from the response.
    """
    rows = len(request.observations.raw) // (4 * ELEMENTS)
    probs = call.probs[start : start + rows]
    actions = [
        scalar.sample(row.tolist(), request.seed, (request.first_row + index) & scalar.MASK64)
        for index, row in enumerate(probs)
    ]
    log_probs = np.log(probs[np.arange(rows), actions].astype(np.float64)).astype(np.float32)
    answer = ActResponse.FromString(RECEIPT)
    answer.batch_size, answer.seed = rows, request.seed
    answer.actions.CopyFrom(IntArray(raw=np.array(actions, np.int64).tobytes()))
    answer.action_probs.CopyFrom(FloatArray(raw=probs.tobytes()))
    answer.log_probs.CopyFrom(FloatArray(raw=log_probs.tobytes()))
    if call.values is not None:
        answer.values.CopyFrom(FloatArray(raw=call.values[start : start + rows].tobytes()))
    return answer.SerializeToString()


@settings(deadline=None)
@given(batch=st.lists(st.tuples(st.integers(1, 30), u64, u64), min_size=1, max_size=9), values=st.booleans())
def test_answers_are_what_protobuf_writes(batch: list[tuple[int, int, int]], values: bool) -> None:
    """Requests get their own rows, in as few calls as possible.

    Seeds have any size, 0 included.
    """
    call = Call(values=values)
    requests = [_request(rows, seed=seed, first_row=first) for rows, seed, first in batch]
    answers = call.answers(*requests)
    assert b"".join(call.read) == b"".join(_observations(rows) for rows, _, _ in batch)
    start, calls = 0, 1
    for request, answer, (rows, _, _) in zip(requests, answers, batch, strict=True):
        if start + rows > MAX_ROWS:
            start, calls = 0, calls + 1
        found = ActResponse.FromString(answer or b"")
        exact = ActResponse.FromString(_expected(call, request, start))
        logs, wanted_logs = (np.frombuffer(each.log_probs.raw, np.float32) for each in (found, exact))
        # The last bit of a logarithm differs between libraries.
        np.testing.assert_array_max_ulp(logs, wanted_logs, maxulp=1)
        exact.log_probs.raw = found.log_probs.raw
        assert answer == exact.SerializeToString()
        start += rows
    assert len(call.read) == calls


def _field(number: int, wire_type: int, data: bytes) -> bytes:
    return varint(number << 3 | wire_type) + data


# Fields of every wire type, known and unknown, in any order and repeated.
fields = st.one_of(
    st.builds(lambda n, v: _field(n, 0, varint(v)), st.sampled_from([5, 6, 7, 2, 11, 30]), u64),
    st.builds(lambda n: _field(n, 0, b"\x85\x80\x00"), st.sampled_from([5, 6])),  # a long encoding of 5
    st.builds(lambda n, end: _field(n, 0, b"\xff" * 9 + end), st.sampled_from([5, 6]),
              st.sampled_from([b"\x01", b"\x02", b"\x7f", b"\xff\x01"])),  # 64 bits and more
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
)  # fmt: skip


@settings(deadline=None)
@given(tail=st.lists(fields, max_size=4), cut=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_whatever_follows_is_never_read_otherwise_than_by_protobuf(
    tail: list[bytes], cut: int, order: random.Random
) -> None:
    """Unknown and repeated fields, other orders and cut messages are tried.

    They are read as protobuf reads them, or not at all.
    """
    parts = [_request(1).SerializeToString(), *tail]
    payload = b"".join(parts)
    payload = payload[: len(payload) - cut]
    call = Call()
    (found,) = call.answers(payload)
    if found is None:
        assert not call.read
        return
    request = ActRequest.FromString(payload)
    plain = _request(1, first_row=request.first_row)
    if request.HasField("seed"):
        plain.seed = request.seed
    assert request == plain
    answer = ActResponse.FromString(found)
    if request.HasField("seed"):
        assert answer.seed == request.seed
    drawn = scalar.sample(call.probs[0].tolist(), answer.seed, request.first_row)
    assert np.frombuffer(answer.actions.raw, np.int64)[0] == drawn


def _pixels(rows: int, **fields: int) -> tuple[tuple[None, int, int, int], bytes]:
    """A request with uint8 observations, in the form that a reader recognises."""
    pixels = np.random.default_rng(rows).integers(0, 256, rows * ELEMENTS, np.uint8).tobytes()
    payload = ActRequest(policy="p", typed_observations=pixels, **fields).SerializeToString()  # type: ignore[arg-type]
    names = len(ActRequest(policy="p").SerializeToString())
    return (None, len(payload) - len(pixels), rows, names), payload


@settings(deadline=None)
@given(rows=st.integers(1, MAX_ROWS), seed=u64, first_row=u64)
def test_pixels_are_the_same_question_as_floats(rows: int, seed: int, first_row: int) -> None:
    """Pixels as uint8 get the same response as the same numbers in float32."""
    call, fields = Call(), {"seed": seed, "first_row": first_row}
    asked = _pixels(rows, **fields)
    numbers = np.frombuffer(asked[1][asked[0][1] :], np.uint8).astype(np.float32).tobytes()
    floats = ActRequest(policy="p", observations=FloatArray(raw=numbers), **fields)  # type: ignore[arg-type]
    (found,) = call.rows.answers([asked])
    assert found is not None
    assert [found] == call.answers(floats)
    assert call.read == [numbers, numbers]


def test_pixels_without_a_seed_are_given_one() -> None:
    """A request with pixels and no seed gets a seed, like other requests."""
    answers = Call().rows.answers([_pixels(1), _pixels(1)])
    first, second = (ActResponse.FromString(answer or b"").seed for answer in answers)
    assert first != second
    assert min(first, second) >= 1 << 62


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(1, 3))
def test_bytes_before_pixels_are_never_read_otherwise_than_by_protobuf(
    data: st.DataObject, rows: int
) -> None:
    """Any bytes between names and pixels are read as protobuf reads them, or not at all."""
    (_, start, _, names), payload = _pixels(rows, seed=data.draw(u64), first_row=data.draw(u64))
    middle = bytearray(payload[names:start])
    for _ in range(data.draw(st.integers(0, 2))):
        middle[data.draw(st.integers(0, len(middle) - 1))] = data.draw(st.integers(0, 255))
    changed = payload[:names] + bytes(middle) + payload[start:]
    call = Call()
    (found,) = call.rows.answers([((None, start, rows, names), changed)])
    if found is None:
        assert not call.read
        return
    request, plain = ActRequest.FromString(changed), ActRequest.FromString(payload)
    plain.ClearField("seed")
    plain.first_row = request.first_row
    if request.HasField("seed"):
        plain.seed = request.seed
    assert request == plain


@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 13, 39])
def test_what_is_not_finite_is_left_to_others(number: float, place: int) -> None:
    """A number that is not finite refuses its own request and no other."""
    call = Call()
    bad = _request(10)
    numbers = np.zeros(40, np.float32)
    numbers[place] = number
    bad.observations.raw = numbers.tobytes()
    before, refused, after = call.answers(_request(2, seed=1), bad, _request(3, seed=2))
    assert refused is None
    assert [ActResponse.FromString(answer or b"").seed for answer in (before, after)] == [1, 2]
    assert call.read == [_observations(2) + _observations(3)]


def test_extreme_finite_numbers_are_taken() -> None:
    """The largest and smallest numbers and negative zero are accepted like others."""
    request = _request(1)
    request.observations.raw = np.array([3.4028235e38, -3.4028235e38, 1e-45, -0.0], np.float32).tobytes()
    assert Call().answers(request) != [None]


@pytest.mark.parametrize(
    ("start", "rows"), [(-1, 1), (0, 0), (0, -1), (0, MAX_ROWS + 1), (10**6, 1), (0, 2**61), (2**63 - 1, 1)]
)
def test_rows_that_are_not_there_are_refused(start: int, rows: int) -> None:
    """Nothing outside the request is read, and nothing outside the buffers is written."""
    call = Call()
    for numbers in (start, 0):
        assert call.rows.answers([((None, start, rows, numbers), bytes(16 * 3))]) == [None]
    assert not call.read


def test_buffers_of_different_lengths_are_refused() -> None:
    """Nothing is written outside a buffer that is too short."""
    call = Call()
    assert call.values is not None
    for probs, values in ((call.probs[1:], call.values), (call.probs, call.values[:-1])):
        with pytest.raises(ValueError, match="differ in their rows"):
            Rows(call.observations, probs, values, lambda _: None, RECEIPT, 0)


def test_without_a_seed_each_answer_names_its_own() -> None:
    """The seeds differ. Each is a varint of nine bytes, so that all responses have one size."""
    answers = Call().answers(*[_request(1)] * 50)
    assert len({ActResponse.FromString(answer or b"").seed for answer in answers}) == 50
    assert len({len(answer or b"") for answer in answers}) == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0])
def test_no_distribution_is_no_answer_and_leaves_nothing_behind(wrong: float) -> None:
    """If a graph gives NaN, an infinity or zeros, only that request has no response.

    The next one has.
    """
    call = Call()
    kept = call.probs[1].copy()
    call.probs[1] = wrong
    first, second = call.answers(_request(1), _request(1))
    assert first is not None
    assert second is None
    call.probs[1] = kept
    answers = call.answers(_request(1), _request(1))
    assert len(answers) == 2
    assert None not in answers


def test_what_a_call_raises_is_raised() -> None:
    """The caller gets ONNX Runtime's own errors."""
    call = Call()

    def run(_: int) -> None:
        raise RuntimeError("broken")

    rows = Rows(call.observations, call.probs, call.values, run, RECEIPT, 0)
    with pytest.raises(RuntimeError, match="broken"):
        rows.answers([_asked(_request(1))])
