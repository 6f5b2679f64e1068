"""A graph that computes NaN or an infinity.

That request gets a named error, the others are answered.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from policy_api.v1 import artifact_pb2
from policy_api.v1.policy_pb2 import ActRequest, ActResponse, BoolArray, FloatArray
from policyd.errors import UnusableOutput
from policyd.repository import ModelRepository
from policyd_server import compiled
from policyd_server.acting import call
from policyd_server.acting.batcher import Batcher
from policyd_server.acting.decode import ticket_for
from policyd_server.acting.queue import Slice
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server import artifacts, kinds

HUGE = np.full(4, 3e38, np.float32)  # finite; the first layer makes an infinity of it, the next one NaN
GOOD = np.zeros(4, np.float32)


def load(folder: Path, model: bytes, metadata: artifact_pb2.PolicyMetadata) -> LoadedVersion:
    """The model as a server holds it in memory."""
    repository = ModelRepository(folder)
    repository.publish(metadata.policy, {"model.onnx": model}, metadata=metadata)
    return load_version(repository, metadata.policy, 1)


@pytest.fixture
def policy(tmp_path: Path) -> LoadedVersion:
    """A policy that works."""
    metadata = artifacts.metadata("cartpole")
    return load(tmp_path, artifacts.model(metadata), metadata)


def tickets(model: LoadedVersion, *observations: np.ndarray, **more: object) -> list[Ticket]:
    """One ticket for each."""
    requests = [ActRequest(observations=FloatArray(raw=each.tobytes()), **more) for each in observations]  # type: ignore[arg-type]
    return [ticket_for(request, model, 4096) for request in requests]


def answered(made: list[Ticket]) -> list[Exception | None]:
    """How each ticket ended, after one call for all of them."""
    for ticket in made:
        ticket.taken = ticket.rows
    call.answer([Slice(ticket, 0, ticket.rows) for ticket in made])
    return [ticket.error for ticket in made]


def test_a_request_with_nan_is_refused_and_others_are_answered(policy: LoadedVersion) -> None:
    """The error names policy, version, row and what was computed."""
    rows = np.stack([GOOD, GOOD, HUGE])
    before, failed, after = answered(tickets(policy, GOOD, rows, GOOD))
    assert before is None
    assert after is None
    assert isinstance(failed, UnusableOutput)
    assert failed.message == "cartpole version 1 computed nan in action_probs for row 2 of the observations"


def test_a_mask_of_impossible_actions_is_refused(tmp_path: Path) -> None:
    """Logits of minus infinity are allowed, but a mask that leaves only those is refused."""
    metadata = artifacts.metadata("cartpole", has_value=False)
    made = onnx.load_from_string(artifacts.model(metadata))
    artifacts._before_the_logits(
        made, [helper.make_node("Add", ["sound_logits", "never"], ["action_logits"])]
    )
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, -np.inf], np.float32), "never"))
    out = next(node for node in made.graph.node if "action_probs" in node.output)
    out.input[0] = "action_logits"
    policy = load(tmp_path, made.SerializeToString(), metadata)
    assert answered(tickets(policy, GOOD)) == [None]
    [refused] = answered(tickets(policy, GOOD, action_mask=BoolArray(raw=b"\0\1")))
    assert isinstance(refused, UnusableOutput)


@pytest.mark.parametrize("kind", ["squashed", "clipped", "multi_binary", "multi_discrete"])
def test_every_kind_of_action_is_checked(tmp_path: Path, kind: str) -> None:
    """NaN is found for every kind of distribution."""
    metadata = kinds.metadata(kind)
    policy = load(tmp_path, artifacts.model(metadata), metadata)
    shape = policy.observation_shape
    huge = np.full(shape, 3e38, np.float32)
    [failed, sound] = answered(tickets(policy, huge, np.zeros(shape, np.float32)))
    assert isinstance(failed, UnusableOutput)
    assert sound is None


@pytest.mark.skipif(not compiled.AVAILABLE, reason="needs the compiled path")
def test_the_compiled_path_leaves_such_requests_to_the_other(policy: LoadedVersion) -> None:
    """Of requests in one call, only the one with NaN gets no response there."""
    assert policy.bound is not None
    payloads = [observations.tobytes() for observations in (GOOD, HUGE, GOOD)]
    answers = policy.bound.answers([((None, 0, 1, len(payload)), payload) for payload in payloads])
    assert [answer is None for answer in answers] == [False, True, False]
    assert answers[0] is not None
    assert ActResponse.FromString(answers[0]).batch_size == 1


def test_the_log_has_some_lines_only(policy: LoadedVersion, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand such requests do not fill the log, and there is no traceback."""
    call._limit = type(call._limit)(call.UNUSABLE_LOGGED, call.UNUSABLE_WINDOW)
    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            answered(tickets(policy, HUGE))
    assert len(caplog.records) == call.UNUSABLE_LOGGED
    assert "Traceback" not in caplog.text


def test_the_observer_hears_of_it(policy: LoadedVersion) -> None:
    """The observer that counts requests gets the ticket's error."""
    seen: list[Exception | None] = []

    class Observer:
        def called(self, slices: list[Slice], queued: list[float], seconds: float) -> None:
            seen.extend(piece.ticket.error for piece in slices)

        def answered_at_once(self, *_: object) -> None: ...

    batcher = Batcher(100, Observer())  # type: ignore[arg-type]
    [ticket] = tickets(policy, HUGE)
    batcher.push(ticket)
    batcher.step()
    assert isinstance(seen[0], UnusableOutput)
