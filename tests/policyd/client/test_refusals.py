"""What both clients refuse before anything is sent, and the field that they name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policyd import PolicyClient, errors
from tests.policyd.client.conftest import Connect
from tests.policyd.client.requests import OBSERVATIONS, SPEC


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
