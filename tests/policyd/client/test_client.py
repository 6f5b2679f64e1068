"""PolicyClient and AsyncPolicyClient against a real gRPC server."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policy_api.v1 import training_pb2
from policyd import ActStream, AsyncActStream, AsyncPolicyClient, Credentials, PolicyClient, errors
from tests.policyd.client.conftest import Connect

SPEC = training_pb2.TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c")
OBSERVATIONS = np.array([[0.0, 0.1, 0.02, -0.3], [0.0, 0.0, -0.05, 0.1]])
Job = training_pb2.TrainingJob


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


@pytest.mark.parametrize("shape", [(4, 10), (2, 8), (8,), (4, 2), (1, 2, 4)])
def test_a_first_axis_that_is_not_the_batch_is_refused(
    address: str, connect: Connect, shape: tuple[int, ...]
) -> None:
    """The server would take the numbers as other rows.

    The client refuses them and names the field, in streams too.
    """
    with connect(address) as client, pytest.raises(errors.InvalidArgument, match="4 numbers") as caught:
        client.act(np.zeros(shape, np.float32))
    assert caught.value.violations[0].field == "observations"
    assert str(shape) in caught.value.message


def test_a_mask_whose_first_axis_is_not_the_batch_is_refused(address: str) -> None:
    """The same holds for action_mask."""
    with (
        PolicyClient(address, timeout=60) as client,
        pytest.raises(errors.InvalidArgument, match="mask: got shape"),
    ):
        client.act(OBSERVATIONS[:1].repeat(3, 0), action_mask=np.ones((2, 3), bool))


# Refused before anything is sent


def test_an_unknown_option_is_a_type_error(address: str, peer: Any, connect: Connect) -> None:
    """A misspelt option raises TypeError at the call, and nothing is sent."""
    with connect(address) as client:
        with pytest.raises(TypeError, match=r"'polcy'.*policy"):
            client.act(OBSERVATIONS, polcy="cartpole")
        with client.stream() as stream, pytest.raises(TypeError, match="'polcy'"):
            stream.act(OBSERVATIONS, polcy="cartpole")
        with pytest.raises(TypeError):
            client.list_policies(polcy="cartpole")
    assert peer.requests == []


class _Unreadable:
    """Cannot be read by numpy, like a tensor on a GPU or one that needs its gradient."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**64}),
        ("seed", {"seed": 1.5}),
        ("seed", {"seed": "7"}),
        ("policy", {"policy": 3}),
        ("policy", {"policy": b"\xff"}),
        ("version", {"version": "2"}),
        ("version", {"version": 2, "alias": "champion"}),
        ("deterministic", {"deterministic": "yes"}),
        ("temperature", {"temperature": "hot"}),
        ("temperature", {"temperature": 10**400}),
        ("first_row", {"first_row": -1}),
        ("space", {"space": "Box(4,)"}),
        ("action_mask", {"action_mask": [[True, False], [True]]}),
        ("action_mask", {"action_mask": [["yes", "no"]]}),
        ("action_mask", {"action_mask": [[0.5, 1.0]]}),
        ("observations", {"observations": [["a", "b"]]}),
        ("observations", {"observations": [["1", "2"]]}),
        ("observations", {"observations": [[1.0], [1.0, 2.0]]}),
        ("observations", {"observations": None}),
        ("observations", {"observations": {"angle": 1.0}}),
        ("observations", {"observations": np.zeros((1, 4), complex)}),
        ("observations", {"observations": np.zeros((1, 4), "datetime64[s]")}),
        ("observations", {"observations": [[1e300, 0.0, 0.0, 0.0]]}),
        ("observations", {"observations": _Unreadable()}),
        ("observations", {"observations": object()}),
        ("timeout", {"timeout": "1"}),
        ("timeout", {"timeout": math.nan}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": True}),
        ("timeout", {"timeout": [1]}),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    address: str, peer: Any, connect: Connect, field: str, options: dict[str, Any]
) -> None:
    """A value that cannot be sent raises InvalidArgument with the field's name."""
    with connect(address) as client, pytest.raises(errors.InvalidArgument) as caught:
        client.act(**{"observations": OBSERVATIONS, **options})
    assert caught.value.violations[0].field == field
    assert peer.requests == []


def test_tensors_are_observations(address: str) -> None:
    """A tensor on the CPU is accepted.

    One that numpy cannot read is refused with the reason.
    """
    torch = pytest.importorskip("torch", reason="torch is in the extra `trainer`")
    with PolicyClient(address, timeout=60) as client:
        tensor = torch.tensor(OBSERVATIONS)
        np.testing.assert_array_equal(
            client.act(tensor, seed=1).actions, client.act(OBSERVATIONS, seed=1).actions
        )
        with pytest.raises(errors.InvalidArgument, match=r"observations: got Tensor \(.*requires grad"):
            client.act(tensor.requires_grad_())


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("policy", lambda client: client.get_policy(5)),
        ("version", lambda client: client.set_alias("cartpole", "two")),
        ("version", lambda client: client.set_alias("cartpole", 2**63)),
        ("expected_generation", lambda client: client.rollback_alias("cartpole", expected_generation="x")),
        ("spec", lambda client: client.create_training_job("cartpole")),
        ("priority", lambda client: client.create_training_job(SPEC, priority=2**40)),
        ("limits", lambda client: client.create_training_job(SPEC, limits=30)),
        ("job_id", lambda client: client.get_training_job(1)),
        ("job_id", lambda client: client.cancel_training_job(1)),
        ("job_id", lambda client: client.watch_training_job(1)),
        ("limit", lambda client: client.list_training_jobs(limit="all")),
        ("limit", lambda client: client.list_training_jobs(limit=0)),
        ("timeout", lambda client: client.list_policies(timeout="1")),
        ("timeout", lambda client: client.watch_training_job("job-1", timeout="1")),
        ("patience", lambda client: client.wait_for_training_job("job-1", patience=-1)),
        ("timeout", lambda client: client.stream(timeout=math.nan)),
        ("pin_version", lambda client: client.stream(pin_version="yes").act(OBSERVATIONS)),
    ],
)
def test_every_method_names_the_wrong_field(
    address: str, peer: Any, connect: Connect, field: str, call: Callable[[Any], Any]
) -> None:
    """Each method of both clients, not only act, raises InvalidArgument at the call."""
    with connect(address) as client, pytest.raises(errors.InvalidArgument) as caught:
        call(client)
    assert caught.value.violations[0].field == field
    assert peer.requests == []


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("server", {"address": ""}),
        ("server", {"address": "localhost"}),
        ("server", {"address": "127.0.0.1:99999"}),
        ("server", {"address": 50051}),
        ("timeout", {"timeout": "10"}),
        ("timeout", {"timeout": None}),
        ("credentials", {"credentials": "secret"}),
    ],
)
def test_a_client_that_cannot_work_is_not_made(
    connect: Connect, field: str, arguments: dict[str, Any]
) -> None:
    """The constructor names what is wrong."""
    with pytest.raises(errors.InvalidArgument) as caught:
        connect(**arguments)
    assert caught.value.violations[0].field == field


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
