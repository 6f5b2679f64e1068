"""docker-compose.ray.yml on a real engine: a head and two workers beside the trainer.

Run by `make e2e`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.containers.compose import Compose, Policyctl, await_that, run

pytestmark = [
    pytest.mark.skipif("POLICYD_E2E" not in os.environ, reason="needs a container engine: make e2e"),
    pytest.mark.timeout(1200),
]

FILES = ("docker-compose.yml", "docker-compose.ray.yml")
CARTPOLE = ("--policy", "cartpole", "--env", "CartPole-v1", "--algorithm", "a2c")
MACHINES = ("trainer", "ray-head", "ray-worker")


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The stack, from images with the extra `ray`. It is removed after the tests in any case."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("POLICYD_EXTRAS", "ray")
        environment.setenv("POLICYD_VERSION", "e2e-ray")
        compose = Compose(*FILES)
        compose("down", "--volumes", "--remove-orphans")
        compose("build", "server", "trainer", seconds=1100)
        compose("up", "--detach", "server", "trainer", "ray-head", "ray-worker")
        yield compose
        compose("down", "--volumes", "--remove-orphans")


@pytest.fixture
def policyctl(compose: Compose) -> Policyctl:
    compose.await_health("server", "trainer", seconds=200)
    return Policyctl(compose.address("server", 50051))


def machines_of(compose: Compose, job_id: str) -> dict[str, int]:
    """The containers of each service that run processes of a job."""
    found = {}
    for service in MACHINES:
        tops = [run("docker", "top", container).decode() for container in compose.containers(service)]
        found[service] = sum(job_id in top and "policyd_trainer train" in top for top in tops)
    return found


def test_a_job_runs_on_a_worker_and_publishes(compose: Compose, policyctl: Policyctl) -> None:
    """Two workers joined the head. A job runs on one of them, and not in the trainer's container.

    That job is cancelled. The next one publishes a version, which the server serves.
    """
    assert len(compose.containers("ray-worker")) == 2

    def two_machines() -> bool:
        return compose("exec", "-T", "ray-head", "ray", "status").decode().count("1 node_") == 3

    await_that(two_machines, 120, "the head has two workers")
    endless = ("--set", "total_timesteps=500000000", "--no-promote", "--cpus", "1")
    job = policyctl("retrain", *CARTPOLE, *endless)["job"]["job_id"]

    def steps() -> Any:
        shown = policyctl("jobs", "show", job)
        return shown.get("job", shown).get("progress", {}).get("env_steps", 0)

    await_that(lambda: steps() > 0, 200, "the job learns")
    assert machines_of(compose, job) == {"trainer": 0, "ray-head": 0, "ray-worker": 1}
    policyctl("jobs", "cancel", job)
    await_that(lambda: not any(machines_of(compose, job).values()), 60, "its processes end")
    outcome = policyctl("retrain", *CARTPOLE, "--set", "total_timesteps=20000", "--wait", seconds=400)
    assert outcome["job"]["state"] == "SUCCEEDED"
    assert policyctl.champion()[0] == 1
    logs = compose("logs", "--no-color", "trainer").decode()
    # When the trainer connects, only the head may be ready; the workers join later.
    assert re.search(r"connected to the Ray cluster at ray://ray-head:10001, machines: [123]\b", logs)
    assert "Traceback" not in logs
