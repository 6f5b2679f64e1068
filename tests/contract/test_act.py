"""Act, over the wire."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd import sampling
from policyd.errors import Exhausted, Internal, InvalidArgument, NotFound, PolicydError
from policyd.repository import ModelRepository
from policyd.runtime import status
from tests.contract.conftest import Publish, ServerProcess, StartServer
from tests.policyd_server import artifacts


def _observations(rows: int) -> Any:
    return np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)


def _raw(rows: int = 3) -> pb.FloatArray:
    return pb.FloatArray(raw=_observations(rows).tobytes())


def test_an_answer_can_be_recomputed_from_its_receipt(publish: Publish, start_server: StartServer) -> None:
    """Actions follow from probabilities and seed. The response names its version and digest."""
    published = publish()
    server = start_server()
    request = pb.ActRequest(policy="cartpole", observations=_raw(100), seed=7, first_row=3)
    answer = server.policy.Act(request, timeout=60)
    assert (answer.policy, answer.version, answer.digest) == ("cartpole", 1, published.digest)
    assert (answer.batch_size, answer.seed) == (100, 7)
    probs = np.frombuffer(answer.action_probs.raw, np.float32).reshape(100, 2)
    actions = np.frombuffer(answer.actions.raw, np.int64)
    assert actions.tolist() == [sampling.sample(row.tolist(), 7, 3 + i) for i, row in enumerate(probs)]
    chosen = probs[np.arange(100), actions]
    log_probs = np.frombuffer(answer.log_probs.raw, np.float32)
    np.testing.assert_allclose(log_probs, np.log(chosen), rtol=1e-5, atol=1e-6)
    assert len(np.frombuffer(answer.values.raw, np.float32)) == 100


def test_numbers_are_answered_with_the_same_numbers(publish: Publish, start_server: StartServer) -> None:
    """Repeated floats give the same response as raw bytes, with repeated floats in it."""
    publish()
    server = start_server()
    x = _observations(5)
    raw = server.policy.Act(pb.ActRequest(observations=pb.FloatArray(raw=x.tobytes()), seed=1), timeout=60)
    values = pb.FloatArray(values=x.ravel().tolist())
    numbers = server.policy.Act(pb.ActRequest(observations=values, seed=1), timeout=60)
    assert not numbers.actions.raw
    assert list(numbers.actions.values) == np.frombuffer(raw.actions.raw, np.int64).tolist()
    assert list(numbers.action_probs.values) == np.frombuffer(raw.action_probs.raw, np.float32).tolist()


def test_a_drawn_seed_is_told(publish: Publish, start_server: StartServer) -> None:
    """Without a seed the server draws one. A request with that seed gets the same actions."""
    publish()
    server = start_server()
    first = server.policy.Act(pb.ActRequest(observations=_raw(64)), timeout=60)
    again = server.policy.Act(pb.ActRequest(observations=_raw(64), seed=first.seed), timeout=60)
    assert first.actions == again.actions
    other = server.policy.Act(pb.ActRequest(observations=_raw(64)), timeout=60)
    assert other.seed != first.seed


def test_many_alike_at_once_each_get_their_own_answer(publish: Publish, start_server: StartServer) -> None:
    """Requests that differ only in their numbers each get their own response.

    One of them is wrong.
    """
    publish()
    server = start_server()
    rows = _observations(300)
    rows[100, 2] = np.nan
    requests = [
        pb.ActRequest(observations=pb.FloatArray(raw=row.tobytes()), seed=200 + number)
        for number, row in enumerate(rows)
    ]
    server.policy.Act(requests[0], timeout=60)
    calls = [server.policy.Act.future(request, timeout=60) for request in requests]
    for number in range(0, 300, 10):
        if number == 100:
            with pytest.raises(grpc.RpcError) as refused:
                calls[number].result()
            assert isinstance(status.from_rpc_error(refused.value), InvalidArgument)
        else:
            assert calls[number].result() == server.policy.Act(requests[number], timeout=60)


def test_deterministic_answers_with_the_mode(publish: Publish, start_server: StartServer) -> None:
    """The response has the most probable action of each row, and no seed."""
    publish(n=5)
    server = start_server()
    answer = server.policy.Act(pb.ActRequest(observations=_raw(50), deterministic=True, seed=3), timeout=60)
    probs = np.frombuffer(answer.action_probs.raw, np.float32).reshape(50, 5)
    assert np.frombuffer(answer.actions.raw, np.int64).tolist() == probs.argmax(axis=1).tolist()
    assert answer.seed == 0


def test_masked_actions_are_impossible(publish: Publish, start_server: StartServer) -> None:
    """Masked actions have probability exactly 0 and are never chosen."""
    publish(n=4)
    server = start_server()
    mask = np.random.default_rng(1).random((200, 4)) < 0.5
    mask[np.arange(200), np.arange(200) % 4] = True
    request = pb.ActRequest(
        observations=_raw(200), action_mask=pb.BoolArray(raw=mask.tobytes()), temperature=3
    )
    answer = server.policy.Act(request, timeout=60)
    probs = np.frombuffer(answer.action_probs.raw, np.float32).reshape(200, 4)
    assert (probs[~mask] == 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-5)
    assert mask[np.arange(200), np.frombuffer(answer.actions.raw, np.int64)].all()


def _refusal(server: ServerProcess, request: pb.ActRequest) -> PolicydError:
    with pytest.raises(grpc.RpcError) as raised:
        server.policy.Act(request, timeout=60)
    return status.from_rpc_error(raised.value)


def _wrong(**fields: object) -> pb.ActRequest:
    return pb.ActRequest(**{"policy": "cartpole", "observations": _raw()} | fields)  # type: ignore[arg-type]


def _floats(*values: float) -> pb.FloatArray:
    return pb.FloatArray(values=values)


RAW_NAN = np.array([0, np.nan, 0, 0], np.float32).tobytes()
NAN, INFINITY = float("nan"), float("inf")
NOTHING_ALLOWED = pb.BoolArray(values=[True, False, False, False, True, True])
WRONG = {
    "no observations": (_wrong(observations=None), "observations", "no numbers"),
    "half a row": (
        _wrong(observations=pb.FloatArray(raw=b"12345678")),
        "observations",
        "got 2 numbers, expected a multiple of 4 (one row of Test-v0 has 4)",
    ),
    "nan": (_wrong(observations=_floats(0, 0, 0, NAN)), "observations", "nan at element 3"),
    "raw nan": (_wrong(observations=pb.FloatArray(raw=RAW_NAN)), "observations", "nan at element 1"),
    "infinity": (_wrong(observations=_floats(0, INFINITY, 0, 0)), "observations", "inf at element 1"),
    "both kinds": (_wrong(observations=pb.FloatArray(raw=bytes(16), values=[1])), "observations", "both"),
    "mask size": (_wrong(action_mask=pb.BoolArray(raw=b"1")), "action_mask", "1 element,"),
    "mask of nothing": (_wrong(action_mask=NOTHING_ALLOWED), "action_mask", "row 1"),
    "both masks": (_wrong(action_mask=pb.BoolArray(raw=b"1", values=[True])), "action_mask", "both"),
    "no temperature": (_wrong(temperature=0), "temperature", "0"),
    "cold": (_wrong(temperature=-1), "temperature", "-1"),
    "not a temperature": (_wrong(temperature=NAN), "temperature", "nan"),
    "negative version": (_wrong(version=-1), "version", "-1"),
    "bad name": (_wrong(policy="../etc"), "policy", "../etc"),
    "bad alias": (_wrong(alias="No!"), "alias", "No!"),
}
ABSENT = {
    "no such policy": (_wrong(policy="pong"), NotFound, "cartpole"),
    "no such version": (_wrong(version=9), NotFound, "there are: 1"),
    "no such alias": (_wrong(alias="staging"), NotFound, "aliases: champion"),
    "too many rows": (_wrong(observations=_raw(101)), Exhausted, "at most 100"),
}


def test_every_wrong_field_is_named(publish: Publish, start_server: StartServer) -> None:
    """Each bad request is refused with its field, the value that came and what was expected.

    The server goes on.
    """
    publish()
    server = start_server()
    for name, (request, field, says) in WRONG.items():
        error = _refusal(server, request)
        assert isinstance(error, InvalidArgument), name
        assert [violation.field for violation in error.violations] == [field], name
        assert says in error.message, name
    assert server.policy.Act(_wrong(), timeout=60).batch_size == 3


def test_what_is_not_there_is_told_with_what_is(publish: Publish, start_server: StartServer) -> None:
    """Errors for unknown names list the known ones. The error for a large batch names the limit."""
    publish()
    server = start_server("--max-batch-rows", "100")
    for name, (request, kind, says) in ABSENT.items():
        error = _refusal(server, request)
        assert isinstance(error, kind), name
        assert says in error.message, name


def test_bytes_that_are_no_message_are_refused(publish: Publish, start_server: StartServer) -> None:
    """Garbage instead of an ActRequest is INVALID_ARGUMENT."""
    publish()
    server = start_server()
    act: Any = server.channel.unary_unary("/policy_api.v1.PolicyService/Act")
    with pytest.raises(grpc.RpcError) as raised:
        act(b"\xff\xff\xff", timeout=60)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_without_a_policy_the_server_is_healthy_and_says_so(start_server: StartServer) -> None:
    """On an empty repository Act answers NOT_FOUND."""
    server = start_server()
    error = _refusal(server, _wrong())
    assert isinstance(error, NotFound)
    assert "there are: none" in error.message


def test_a_name_may_be_left_out_only_where_it_is_clear(publish: Publish, start_server: StartServer) -> None:
    """An empty name means the only policy. With two it is refused and both are named."""
    publish()
    server = start_server()
    assert server.policy.Act(_wrong(policy=""), timeout=60).policy == "cartpole"
    publish("lander", observation_shape=(8,), n=4)
    server.policy.Act(pb.ActRequest(policy="lander", observations=_raw(2)), timeout=60)
    assert "cartpole, lander" in _refusal(server, _wrong(policy="")).message


def test_any_published_version_answers_on_request(publish: Publish, start_server: StartServer) -> None:
    """A request may name another alias, or a version that no alias points to."""
    digests = [publish(promote=version == 1).digest for version in (1, 2, 3)]
    server = start_server("--extra-versions", "1")
    for version in (1, 2, 3, 2, 1):
        answer = server.policy.Act(_wrong(version=version), timeout=60)
        assert (answer.version, answer.digest) == (version, digests[version - 1])


def test_a_failing_inference_harms_nobody_else(
    repository: ModelRepository, start_server: StartServer
) -> None:
    """A row on which the model fails ends as INTERNAL. Its neighbours get their responses."""
    described = artifacts.metadata("fragile")
    repository.publish("fragile", {"model.onnx": artifacts.fragile(described)}, metadata=described)
    repository.set_alias("fragile", "champion", 1, actor="", reason="")
    server = start_server()
    server.may_fail = True
    for rows in (1, 3):
        bad, good = (
            _wrong(
                policy="", observations=pb.FloatArray(raw=np.full((rows, 4), number, np.float32).tobytes())
            )
            for number in (1000, 1)
        )
        answers = [server.policy.Act.future(request, timeout=60) for request in (good, bad, good, bad)]
        errors = [answer.exception() for answer in answers]
        assert [error is None for error in errors] == [True, False, True, False]
        for error in (errors[1], errors[3]):
            assert isinstance(error, grpc.RpcError)
            assert isinstance(status.from_rpc_error(error), Internal)
            assert "the server's log has the details" in str(error)
        assert server.policy.Act(good, timeout=60).batch_size == rows
    assert "indices element out of data bounds" in server.log
