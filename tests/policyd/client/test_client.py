"""PolicyClient and AsyncPolicyClient against a real gRPC server."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policyd import ActStream, AsyncActStream, AsyncPolicyClient, Credentials, PolicyClient, errors
from tests.policyd.client.conftest import Connect
from tests.policyd.client.requests import OBSERVATIONS, SPEC

# The public names of both clients


def _surface(kind: type) -> dict[str, tuple[list[Any], str]]:
    """Parameters and return type of each public member. Async types have their plain names."""
    found = {}
    for name in sorted({name for name in dir(kind) if not name.startswith("_")} | {"__init__"}):
        member: Any = inspect.getattr_static(kind, name)
        signature = inspect.signature(getattr(member, "fget", member))  # for a property, its function
        returns = str(signature.return_annotation).replace("Async", "")
        found[name] = (list(signature.parameters.values()), returns)
    return found


@pytest.mark.parametrize(
    ("plain", "asynchronous"), [(PolicyClient, AsyncPolicyClient), (ActStream, AsyncActStream)]
)
def test_the_two_surfaces_are_one(plain: type, asynchronous: type) -> None:
    """Every public method exists in both, with the same parameters, defaults and result."""
    expected, found = _surface(plain), _surface(asynchronous)
    if plain is ActStream:  # clients open streams
        del expected["__init__"], found["__init__"]
    assert found == expected
    assert "act" in found


# Acting


def test_a_response_is_arrays_of_the_batch(address: str, connect: Connect) -> None:
    """One act gives actions, probabilities and log-probabilities row by row, and the version."""
    with connect(address) as client:
        chosen = client.act(OBSERVATIONS, policy="cartpole", seed=7)
    assert chosen.actions.shape == (2,)
    assert chosen.action_probs.shape == (2, 2)
    probabilities = chosen.action_probs[np.arange(2), chosen.actions]
    np.testing.assert_allclose(np.exp(chosen.log_probs), probabilities, rtol=1e-6)
    assert (chosen.policy, chosen.version, chosen.seed, chosen.values) == ("cartpole", 2, 7, None)


def test_both_clients_send_the_same_request(address: str, peer: Any, connect: Connect) -> None:
    """Both clients send the same request, byte by byte."""
    options = {"policy": "cartpole", "seed": 7, "action_mask": [[1, 0], [1, 1]], "temperature": 0.5}
    with connect(address) as client, PolicyClient(address, timeout=60) as other:
        client.act(OBSERVATIONS, **options)
        other.act(OBSERVATIONS, **options)  # type: ignore[arg-type]  # mypy sees one type for all values
    first, second = (request.SerializeToString() for request in peer.requests)
    assert first == second


def test_a_seed_of_zero_is_a_seed(address: str, peer: Any) -> None:
    """Seed 0 is sent as a set field, and None as an unset one."""
    with PolicyClient(address, timeout=60) as client:
        client.act(OBSERVATIONS, seed=0)
        client.act(OBSERVATIONS, seed=None)
    assert [request.HasField("seed") for request in peer.requests] == [True, False]


@pytest.mark.parametrize("observations", [OBSERVATIONS[0], OBSERVATIONS[0].tolist(), tuple(OBSERVATIONS[0])])
def test_one_flat_observation_is_a_batch_of_one(address: str, observations: Any) -> None:
    """A single observation may be given without the batch's axis."""
    with PolicyClient(address, timeout=60) as client:
        assert client.act(observations).actions.shape == (1,)


# Timeouts


def test_no_time_sends_nothing(address: str, peer: Any, connect: Connect) -> None:
    """timeout=0 means no time at all, instead of the default."""
    with connect(address) as client:
        with pytest.raises(errors.DeadlineExceeded, match="nothing was sent"):
            client.act(OBSERVATIONS, timeout=0)
        with pytest.raises(errors.DeadlineExceeded):
            client.wait_for_training_job("job-1", timeout=0)
    assert peer.requests == []


@pytest.mark.parametrize("timeout", [math.inf, 1e18, 5, np.float32(5)])
def test_infinity_is_no_limit(address: str, peer: Any, connect: Connect, timeout: float) -> None:
    """timeout=inf sends the call without a deadline. Numbers of numpy are accepted."""
    with connect(address, timeout=1e-9) as client:
        assert client.act(OBSERVATIONS, timeout=timeout).version == 2
    [left] = peer.time_left
    assert (left is None or left > 1e9) == (timeout > 1e9)


def test_every_call_has_a_deadline(address: str, peer: Any, connect: Connect) -> None:
    """If a server does not respond, the call ends after the timeout."""
    peer.never_ends.clear()
    with connect(address, timeout=60) as client:
        job = client.create_training_job(SPEC)
        with pytest.raises(errors.DeadlineExceeded, match=r"did not end within 0\.3 s"):
            list(client.watch_training_job(job.job_id, timeout=0.3))


# Failures of the server and of the connection


def test_errors_are_domain_errors(address: str, connect: Connect) -> None:
    """A failed call raises the error for its status, with the server's message."""
    with connect(address) as client, pytest.raises(errors.NotFound, match="there are: cartpole"):
        client.get_policy("lander")


def test_no_server_is_unreachable(connect: Connect) -> None:
    """The error names the address that did not answer."""
    with connect("127.0.0.1:1") as client, pytest.raises(errors.Unavailable) as caught:
        client.list_policies()
    assert caught.value.reason == "UNREACHABLE"
    assert "127.0.0.1:1" in caught.value.message


def test_a_closed_client_says_so(address: str, connect: Connect) -> None:
    """Calls after close() raise an error of the tree."""
    with connect(address) as client:
        client.list_policies()
    for call in (client.list_policies, lambda: client.act(OBSERVATIONS), client.stream):
        with pytest.raises(errors.FailedPrecondition) as caught:
            call()
        assert caught.value.reason == "CLIENT_CLOSED"


def test_a_client_finds_a_restarted_server_again(restart: Callable[[int], int], connect: Connect) -> None:
    """After the server restarts on the same port, the same client works again."""
    port = restart(0)
    with connect(f"127.0.0.1:{port}") as client:
        before = client.act(OBSERVATIONS, seed=1)
        restart(port)
        after = client.act(OBSERVATIONS, seed=1)
    np.testing.assert_array_equal(before.actions, after.actions)


def test_a_unix_socket_is_an_address(peer: Any, connect: Connect, tmp_path: Path) -> None:
    """unix:PATH works like HOST:PORT, also with a token: the socket stays on this machine."""
    address = f"unix:{tmp_path}/policyd.sock"
    server = peer.serve_at(address)
    try:
        with connect(address, credentials=Credentials(token="secret")) as client:
            assert client.act(OBSERVATIONS).version == 2
    finally:
        server.stop(None).wait()
    assert peer.authorizations == ["Bearer secret"]
