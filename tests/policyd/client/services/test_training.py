"""Both clients' calls about training jobs, against a real gRPC server."""

from __future__ import annotations

from typing import Any

import pytest

from policy_api.v1 import training_pb2
from policyd import errors
from tests.policyd.client.conftest import Connect

SPEC = training_pb2.TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c")
Job = training_pb2.TrainingJob


def test_a_watch_goes_through_breaks(address: str, peer: Any, connect: Connect) -> None:
    """When the stream breaks, the watch subscribes again.

    A state that was already seen is not repeated.
    """
    peer.breaks = iter([True, True, False])
    with connect(address) as client:
        job = client.create_training_job(SPEC)
        states = [update.state for update in client.watch_training_job(job.job_id)]
    assert states == [Job.RUNNING, Job.SUCCEEDED]
    watches = [r for r in peer.requests if isinstance(r, training_pb2.WatchTrainingJobRequest)]
    assert len(watches) == 3


@pytest.mark.parametrize("ending", [Job.SUCCEEDED, Job.FAILED])
def test_waiting_returns_the_job_that_ended(address: str, peer: Any, connect: Connect, ending: Any) -> None:
    """Waiting also returns a failed job; its state says so."""
    peer.ending = ending
    peer.breaks = iter([True, False])
    with connect(address) as client:
        job = client.create_training_job(SPEC)
        assert client.wait_for_training_job(job.job_id).state == ending


def test_a_watch_gives_up_after_its_patience(address: str, peer: Any, connect: Connect) -> None:
    """If the outage is longer than its patience, the watch ends with Unavailable."""
    with connect(address) as client:
        job = client.create_training_job(SPEC)
        peer.fail_with = errors.Unavailable("no trainer", retry_after=0.01)
        with pytest.raises(errors.Unavailable, match="no trainer"):
            list(client.watch_training_job(job.job_id, patience=0.1))


def test_watching_an_unknown_job_ends_at_once(address: str, connect: Connect) -> None:
    """The watch raises the server's error at once, because waiting cannot help."""
    with connect(address) as client, pytest.raises(errors.NotFound, match="no job job-9"):
        client.wait_for_training_job("job-9")


def test_creating_names_a_request(address: str, connect: Connect) -> None:
    """Without a request id the client makes one, so that a repeated call cannot start two jobs."""
    with connect(address) as client:
        jobs = [client.create_training_job(SPEC), client.create_training_job(SPEC)]
    assert all(job.request_id for job in jobs)
    assert jobs[0].job_id != jobs[1].job_id


def test_pages_are_followed(address: str, connect: Connect) -> None:
    """Listing reads page after page up to the limit, newest first."""
    with connect(address) as client:
        for _ in range(5):
            client.create_training_job(SPEC)
        found = [job.job_id for job in client.list_training_jobs(limit=4)]
    assert found == ["job-5", "job-4", "job-3", "job-2"]


def test_cancelling_returns_the_job(address: str, connect: Connect) -> None:
    """Both clients get and cancel a job."""
    with connect(address) as client:
        job = client.create_training_job(SPEC)
        assert client.get_training_job(job.job_id).state == Job.QUEUED
        assert client.cancel_training_job(job.job_id).state == Job.CANCELLED
