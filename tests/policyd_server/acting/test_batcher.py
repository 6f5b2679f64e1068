"""Batching: many requests at once, and each gets exactly its own rows."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, BoolArray, Decision, FloatArray
from policyd import sampling
from policyd.errors import Exhausted, InvalidArgument
from policyd.repository import ModelRepository
from policyd_server.acting.actor import Actor
from policyd_server.acting.batcher import Batcher
from policyd_server.acting.loop_batcher import LoopBatcher
from policyd_server.acting.queue import FairQueue
from policyd_server.acting.ticket import Ticket
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.resolver import VersionResolver
from policyd_server.models.version import LoadedVersion
from policyd_server.models.warm_up import MAX_CALL_ROWS
from policyd_server.sampling import reweight
from tests.policyd_server.conftest import Load

REQUESTS = 3000


def _request(rng: random.Random, model: LoadedVersion) -> ActRequest:
    """A random request, mostly small, sometimes larger than one call.

    Masks, temperatures and modes vary.
    """
    rows = rng.choice([1, 1, 1, 2, 3, 7, 30, 65, 200] + [MAX_CALL_ROWS + 500] * (rng.random() < 0.01))
    arrays = np.random.default_rng(rng.getrandbits(32))
    x = arrays.normal(size=(rows, 4)).astype(np.float32)
    request = ActRequest(
        observations=FloatArray(raw=x.tobytes()), seed=rng.getrandbits(64), first_row=rng.getrandbits(20)
    )
    if rng.random() < 0.3:
        mask = arrays.random((rows, 3)) < 0.6
        mask[np.arange(rows), arrays.integers(0, 3, rows)] = True
        request.action_mask.CopyFrom(BoolArray(raw=mask.tobytes()))
    if rng.random() < 0.3:
        request.temperature = rng.uniform(0.1, 5)
    request.deterministic = rng.random() < 0.1
    return request


def _check(request: ActRequest, model: LoadedVersion, answer: ActResponse) -> None:
    """Checks that the response is what the definition gives for these rows alone."""
    x = np.frombuffer(request.observations.raw, np.float32).reshape(-1, 4)
    (logits, probs), values = model.infer(x)
    if request.HasField("action_mask") or request.HasField("temperature"):
        mask = np.frombuffer(request.action_mask.raw, np.bool_).reshape(-1, 3)
        temperature = request.temperature if request.HasField("temperature") else 1.0
        probs = reweight(logits, temperature, mask if len(mask) else None)
    assert (answer.version, answer.batch_size) == (model.version, len(x))
    assert answer.action_probs.raw == probs.tobytes()
    assert values is not None
    assert answer.values.raw == values.tobytes()
    rows = enumerate(probs.tolist(), start=request.first_row)
    wanted = [
        sampling.mode(row) if request.deterministic else sampling.sample(row, request.seed, index)
        for index, row in rows
    ]
    assert np.frombuffer(answer.actions.raw, np.int64).tolist() == wanted


def _actor(max_rows: int) -> Actor:
    """A batcher without a repository: the tests name the version themselves."""
    repository = ModelRepository(Path("never-read"))
    resolver = VersionResolver(Follower(repository, LoadedVersions(0)))
    batcher = LoopBatcher(asyncio.get_running_loop(), Batcher(max_rows), in_place=True)
    return Actor(resolver, batcher, max_rows=10_000)


async def _answered(actor: Actor, model: LoadedVersion, request: ActRequest, *, quick: bool) -> bytes:
    """The response. Unless `quick`, the request goes through the queue."""
    return (_in_place(actor, model, request) if quick else None) or await actor.act_with(model, request)


def _in_place(actor: Actor, model: LoadedVersion, request: ActRequest) -> bytes | None:
    """The response in the way that the front handles plain requests; None: it has to queue."""
    payload = request.SerializeToString()
    actor.reader.remember(payload, request)
    plain = actor.reader.read_for(payload, model)
    return None if plain is None else Batcher(1).together(model, [(plain, payload)])[0]


@pytest.mark.parametrize("quick", [False, True])
def test_thousands_of_concurrent_requests_each_get_their_own_rows(load: Load, quick: bool) -> None:
    """Requests of mixed sizes, seeds, masks, temperatures and versions are in flight at once."""
    rng = random.Random(4)
    models = [load("p", seed) for seed in range(3)]
    asked = [(_request(rng, model), model) for model in rng.choices(models, k=REQUESTS)]

    async def run() -> list[bytes]:
        actor = _actor(10_000_000)
        return await asyncio.gather(
            *(_answered(actor, model, request, quick=quick) for request, model in asked)
        )

    answers = asyncio.run(run())
    assert len(set(answers)) == REQUESTS  # versions and seeds differ, so no two responses are equal
    for (request, model), answer in zip(asked, answers, strict=True):
        _check(request, model, ActResponse.FromString(answer))


def test_every_batch_size_gives_a_row_the_same_answer(load: Load) -> None:
    """Row i has the same probabilities and action in batches of 1 to 1024 rows.

    The probabilities are equal bit for bit.
    """
    model = load("p", 9)
    x = np.random.default_rng(2).normal(size=(1024, 4)).astype(np.float32)

    async def act(size: int, start: int, *, quick: bool) -> ActResponse:
        observations = FloatArray(raw=x[start : start + size].tobytes())
        request = ActRequest(observations=observations, seed=11, first_row=start)
        return ActResponse.FromString(await _answered(_actor(10_000), model, request, quick=quick))

    whole = asyncio.run(act(1024, 0, quick=False))
    actions, probs = (np.frombuffer(array.raw, kind) for array, kind in
                      ((whole.actions, np.int64), (whole.action_probs, np.float32)))  # fmt: skip
    for size in (1, 2, 3, 5, 8, 17, 64, 100, 255, 512, 1023):
        for quick in (True, False):
            start = (size * 37) % (1024 - size + 1)
            part = asyncio.run(act(size, start, quick=quick))
            assert part.actions.raw == actions[start : start + size].tobytes()
            assert part.action_probs.raw == probs[3 * start : 3 * (start + size)].tobytes()


def test_a_full_queue_refuses_at_once_and_drains(load: Load) -> None:
    """Beyond its bound a request gets Exhausted with a delay, and waiting ones get responses.

    Then the queue accepts more.
    """
    model = load("p", 1)
    batcher = Batcher(max_rows=10)
    ended: list[Ticket] = []
    tickets = [Ticket(model, bytes(16 * 4), 4, done=ended.append) for _ in range(3)]
    batcher.push(tickets[0])
    batcher.push(tickets[1])
    with pytest.raises(Exhausted) as raised:
        batcher.push(tickets[2])
    assert raised.value.reason == "QUEUE_FULL"
    assert 0 < raised.value.retry_after < 10
    batcher.step()
    assert ended == tickets[:2]
    batcher.push(tickets[2])
    batcher.step()
    assert all(ticket.decision is not None for ticket in tickets)


def test_what_nobody_waits_for_is_not_computed(load: Load) -> None:
    """A ticket whose caller has gone leaves the queue before inference."""
    gone = Ticket(load("p", 2), bytes(16), 1, abandoned=lambda: True)
    batcher = Batcher(max_rows=10)
    batcher.push(gone)
    batcher.step()
    assert gone.decision is None
    assert batcher.queue.rows == 0


def test_a_large_request_does_not_hold_up_small_ones(load: Load) -> None:
    """Small requests that come after large ones are in the very next call.

    Large ones advance in each call.
    """
    model = load("p", 3)
    queue = FairQueue(max_rows=1_000_000)
    large = [Ticket(model, bytes(16 * 5000), 5000) for _ in range(2)]
    for ticket in large:
        queue.push(ticket)
    queue.take()
    small = [Ticket(model, bytes(16), 1) for _ in range(5)]
    for ticket in small:
        queue.push(ticket)
    taken = queue.take()
    assert [piece.ticket for piece in taken[:5]] == small
    assert sum(piece.rows for piece in taken) == MAX_CALL_ROWS
    assert {id(piece.ticket) for piece in taken[5:]} <= {id(ticket) for ticket in large}
    seen: dict[int, int] = {id(ticket): ticket.taken for ticket in large}
    while queue:
        for piece in queue.take():
            assert piece.start == seen[id(piece.ticket)]
            seen[id(piece.ticket)] = piece.stop
    assert set(seen.values()) == {5000}
    assert queue.rows == 0


def test_versions_take_turns(load: Load) -> None:
    """Two versions with long queues are called in turn."""
    first, second = load("p", 4), load("p", 5)
    queue = FairQueue(max_rows=1_000_000)
    for model in (first, second):
        queue.push(Ticket(model, bytes(16 * 3000), 3000))
    calls = [queue.take()[0].ticket.model for _ in range(4)]
    assert calls == [first, second, first, second]


def test_a_call_that_fails_ends_its_tickets(load: Load) -> None:
    """Rows that are not finite fail alone. Their neighbours in the call get responses."""
    model = load("p", 6)
    ended: list[Ticket] = []
    make = partial(Ticket, model, done=ended.append)
    bad = make(np.array([[0, np.nan, 0, 0]], np.float32).tobytes(), 1)
    good = make(bytes(16), 1)
    batcher = Batcher(max_rows=10)
    batcher.push(bad)
    batcher.push(good)
    batcher.step()
    assert "nan at element 1" in str(bad.error)
    assert good.decision is not None
    assert len(ended) == 2


def test_a_long_name_is_refused_before_a_seed_is_computed_from_it(load: Load) -> None:
    """A seed takes Python half a microsecond per byte, and meanwhile nobody is answered."""
    named = [Decision(episode_id="e" * 20_000_000)]
    request = ActRequest(observations=FloatArray(raw=bytes(16)), decisions=named)
    model = load()

    async def prepare() -> None:
        _actor(100).prepare(request, model)

    begin = time.thread_time()
    with pytest.raises(InvalidArgument, match="got 20000000 characters"):
        asyncio.run(prepare())
    assert time.thread_time() - begin < 2
