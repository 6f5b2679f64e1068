"""The profile `postgres`: the job table beside the trainer, and its backup."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.containers.compose import Compose, Policyctl, await_that, build_stand_in, run

pytestmark = [
    pytest.mark.skipif("POLICYD_E2E" not in os.environ, reason="needs a container engine: make e2e"),
    pytest.mark.timeout(900),
]

PASSWORD = "to-be-found-nowhere"
TRAIN = (
    "--policy",
    "cartpole",
    "--env",
    "CartPole-v1",
    "--algorithm",
    "a2c",
    "--set",
    "checkpoint_seconds=1",
)


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The stack with Postgres, set up as in docs/guide/operations.md."""
    before = dict(os.environ)
    compose = Compose("docker-compose.yml")
    url = f"postgresql://policyd:{PASSWORD}@postgres/policyd"
    os.environ.update(COMPOSE_PROFILES="postgres", POSTGRES_PASSWORD=PASSWORD, POLICYD_JOBS=url)
    build_stand_in("postgres")
    compose("build", seconds=890)
    compose("down", "--volumes", "--remove-orphans")
    compose("up", "--detach")
    yield compose
    compose("down", "--volumes", "--remove-orphans")
    os.environ.clear()
    os.environ.update(before)


def test_a_job_outlives_its_trainer(compose: Compose) -> None:
    """The same holds with Postgres as with SQLite. The password is in no log."""
    compose.await_health("postgres", "server", "trainer", seconds=180)
    policyctl = Policyctl(compose.address("server", 50051))
    job = policyctl("retrain", *TRAIN, "--set", "total_timesteps=2000000")["job"]["job_id"]

    def shown() -> Any:
        found = policyctl("jobs", "show", job)
        return found.get("job", found)

    await_that(lambda: shown().get("progress", {}).get("env_steps", 0) > 5000, 180, "5,000 steps")
    [container] = compose.containers("trainer")
    run("docker", "kill", container)
    compose("up", "--detach", "trainer")
    compose.await_health("trainer", seconds=180)
    await_that(lambda: shown()["state"] == "SUCCEEDED", 400, "the job succeeds")
    assert shown()["attempts"] >= 2
    assert PASSWORD not in compose("logs", "--no-color").decode()


def test_a_backup_restores_into_an_empty_stack(compose: Compose) -> None:
    """With the commands of docs/guide/operations.md the same jobs are known."""
    before = Policyctl(compose.address("server", 50051))("jobs", "list")["jobs"]
    compose("stop", "trainer")
    dump = compose("exec", "-T", "postgres", "pg_dump", "-U", "policyd", "-Fc", "policyd")
    compose("down", "--volumes")
    compose("up", "--detach", "postgres")
    compose.await_health("postgres")
    compose("exec", "-T", "postgres", "pg_restore", "-U", "policyd", "-d", "policyd", data=dump)
    compose("up", "--detach")
    compose.await_health("server", "trainer", seconds=180)
    assert Policyctl(compose.address("server", 50051))("jobs", "list")["jobs"] == before
