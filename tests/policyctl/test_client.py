"""PolicyClient against a real gRPC server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policy_api import errors
from policy_api.v1 import training_pb2
from policyctl import AsyncPolicyClient, PolicyClient

SPEC = training_pb2.TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c")
OBSERVATIONS = np.array([[0.0, 0.1, 0.02, -0.3], [0.0, 0.0, -0.05, 0.1]])


def test_an_answer_is_arrays_of_the_batch(address: str) -> None:
    """One act gives actions, probabilities and log-probabilities row by row, and what answered."""
    with PolicyClient(address) as client:
        answer = client.act(OBSERVATIONS, policy="cartpole", seed=7)
    assert answer.actions.shape == (2,)
    assert answer.action_probs.shape == (2, 2)
    chosen = answer.action_probs[np.arange(2), answer.actions]
    np.testing.assert_allclose(np.exp(answer.log_probs), chosen, rtol=1e-6)
    assert (answer.policy, answer.version, answer.seed, answer.values) == ("cartpole", 2, 7, None)


def test_a_seed_of_zero_is_a_seed(address: str, peer: Any) -> None:
    """Seed 0 travels as a set field, and None as an unset one."""
    with PolicyClient(address) as client:
        client.act(OBSERVATIONS, seed=0)
        client.act(OBSERVATIONS, seed=None)
    assert [request.HasField("seed") for request in peer.requests] == [True, False]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**64}),
        ("version", {"version": 2, "alias": "champion"}),
        ("observations", {"observations": [["a", "b"]]}),
        ("observations", {"observations": [[1.0], [1.0, 2.0]]}),
    ],
)
def test_a_value_that_does_not_fit_is_named(address: str, field: str, options: dict[str, Any]) -> None:
    """What cannot be sent raises InvalidArgument with the field's name."""
    with PolicyClient(address) as client, pytest.raises(errors.InvalidArgument) as caught:
        client.act(**{"observations": OBSERVATIONS, **options})
    assert caught.value.violations[0].field == field


def test_errors_are_domain_errors(address: str) -> None:
    """A failed call raises the error of the tree that the status stands for, with its message."""
    with PolicyClient(address) as client, pytest.raises(errors.NotFound, match="there are: cartpole"):
        client.get_policy("lander")


def test_every_call_has_a_deadline(address: str, peer: Any) -> None:
    """A server that does not answer costs the timeout, not forever."""
    peer.never_ends.clear()
    with PolicyClient(address, timeout=5) as client:
        job = client.create_training_job(SPEC)
        with pytest.raises(errors.DeadlineExceeded, match=r"did not end within 0\.3 s"):
            list(client.watch_training_job(job.job_id, timeout=0.3))


def test_a_client_finds_a_restarted_server_again(restart: Callable[[int], int]) -> None:
    """After a restart on the same port the same client goes on; meanwhile it says what it cannot reach."""
    port = restart(0)
    with PolicyClient(f"127.0.0.1:{port}") as client:
        before = client.act(OBSERVATIONS, seed=1)
        restart(port)
        after = client.act(OBSERVATIONS, seed=1)
    np.testing.assert_array_equal(before.actions, after.actions)


def test_no_server_is_unreachable() -> None:
    """The error names the address that did not answer."""
    with PolicyClient("127.0.0.1:1") as client, pytest.raises(errors.Unavailable) as caught:
        client.list_policies()
    assert caught.value.reason == "UNREACHABLE"
    assert "127.0.0.1:1" in caught.value.message


def test_a_watch_survives_a_break(address: str, peer: Any) -> None:
    """When the stream breaks, the watch subscribes again and sees the job's end."""
    peer.breaks = iter([True, True, False])
    with PolicyClient(address) as client:
        job = client.create_training_job(SPEC)
        states = [update.state for update in client.watch_training_job(job.job_id)]
    job_states = training_pb2.TrainingJob
    assert states == [job_states.RUNNING] * 3 + [job_states.SUCCEEDED]


def test_a_watch_gives_up_after_its_patience(address: str, peer: Any) -> None:
    """An outage longer than the patience ends the watch with Unavailable."""
    with PolicyClient(address) as client:
        job = client.create_training_job(SPEC)
        peer.fail_with = errors.Unavailable("no trainer", retry_after=0.01)
        with pytest.raises(errors.Unavailable, match="no trainer"):
            list(client.watch_training_job(job.job_id, patience=0.1))


def test_creating_names_a_request(address: str, peer: Any) -> None:
    """Without a request id the client makes one, so that a repeated call cannot start two jobs."""
    with PolicyClient(address) as client:
        jobs = [client.create_training_job(SPEC), client.create_training_job(SPEC)]
    assert all(job.request_id for job in jobs)
    assert jobs[0].job_id != jobs[1].job_id


def test_pages_are_followed(address: str) -> None:
    """Listing walks the pages up to the limit, newest first."""
    with PolicyClient(address) as client:
        for _ in range(5):
            client.create_training_job(SPEC)
        assert [j.job_id for j in client.list_training_jobs(limit=4)] == ["job-5", "job-4", "job-3", "job-2"]


async def _act_async(address: str) -> Any:
    async with AsyncPolicyClient(address) as client:
        with pytest.raises(errors.NotFound):
            await client.get_policy("lander")
        return await client.act(OBSERVATIONS, policy="cartpole", seed=7)


def test_the_async_client_gives_the_same_answer(address: str) -> None:
    """Both clients send the same request and read the same answer."""
    import asyncio  # noqa: PLC0415  (this test alone has an event loop)

    answer = asyncio.run(_act_async(address))
    with PolicyClient(address) as client:
        np.testing.assert_array_equal(
            answer.action_probs, client.act(OBSERVATIONS, policy="cartpole", seed=7).action_probs
        )
