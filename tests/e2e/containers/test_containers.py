"""The images and docker-compose.yml on a real engine, as an operator lives through them.

Run by `make e2e`. The tests of this file are one story: they share a stack and come in order.
"""

from __future__ import annotations

import functools
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.containers.compose import (
    PROJECT,
    SCALED,
    Acting,
    Compose,
    Policyctl,
    await_that,
    build_stand_in,
    run,
)
from tests.e2e.containers.prometheus import panels, value

pytestmark = [
    pytest.mark.skipif("POLICYD_E2E" not in os.environ, reason="needs a container engine: make e2e"),
    pytest.mark.timeout(900),
]

CARTPOLE = ("--policy", "cartpole", "--env", "CartPole-v1", "--algorithm", "a2c")
MAX_SERVER_BYTES = 350_000_000


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The stack with Prometheus, from built images. It is removed after the tests in any case."""
    compose = Compose("docker-compose.yml")
    compose("--profile", "observability", "down", "--volumes", "--remove-orphans")
    compose("build", seconds=890)
    for name in ("envoy", "prometheus"):
        build_stand_in(name)
    compose("up", "--detach", "server", "trainer")
    yield compose
    Compose(*SCALED)("--profile", "observability", "down", "--volumes", "--remove-orphans")


@pytest.fixture
def policyctl(compose: Compose) -> Policyctl:
    """The command policyctl for the port that the server publishes now."""
    return Policyctl(compose.address("server", 50051))


def test_images_are_small_and_containers_have_no_privileges(compose: Compose) -> None:
    """The server has no torch, and it has the compiled front.

    Both containers run as 10001, with a read-only root and without capabilities.
    """
    size = run("docker", "image", "inspect", "-f", "{{.Size}}", "policyd-server:0.2.0")
    assert int(size) < MAX_SERVER_BYTES
    for service in ("server", "trainer"):
        [container] = compose.containers(service)
        script = (
            "id -u; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; touch /x 2>&1 || true"
        )
        said = run("docker", "exec", container, "sh", "-c", script).decode()
        assert said.split()[0] == "10001"
        assert "0000000000000000" in said
        assert "NoNewPrivs:\t1" in said
        assert "Read-only file system" in said
    probe = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('policyd_trainer'))"
    assert compose("exec", "-T", "server", "python", "-c", probe).split() == [b"None", b"None"]
    probe = "from policyd_server import front; print(front.AVAILABLE)"  # then it is the default
    assert compose("exec", "-T", "server", "python", "-c", probe).split() == [b"True"]


def test_the_stack_becomes_healthy_and_learns(compose: Compose, policyctl: Policyctl) -> None:
    """grpc.health.v1 reports health. A retraining through the published port is served at once."""
    compose.await_health("server", "trainer")
    outcome = policyctl("retrain", *CARTPOLE, "--set", "total_timesteps=20000", "--wait", seconds=400)
    assert outcome["job"]["state"] == "SUCCEEDED"
    assert policyctl.champion()[0] == 1
    played = policyctl("play", "--policy", "cartpole", "--env", "CartPole-v1", "--episodes", "3")
    assert played["episodes"] == 3
    assert played["version"] == 1


def test_page_and_protocols_answer_over_http(compose: Compose) -> None:
    """The published port has the page and its stream, /v1, and the Open Inference Protocol."""
    at = f"http://{compose.address('server', 8000)}"

    def ask(path: str, body: Any = None) -> tuple[str, bytes]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{at}{path}", data, timeout=60) as response:
            return response.headers["content-type"], response.read()

    kind, page = ask("/page")
    assert kind.startswith("text/html")
    assert b"cartpole" in page
    with urllib.request.urlopen(f"{at}/page/live/now", timeout=60) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        told = [next(line for line in events if line.startswith(b"data: ")) for _ in range(2)]
    assert any(b"cartpole" in part for part in told)
    assert json.loads(ask("/v2/health/ready")[1]) == {"ready": True}
    tensor = {"name": "observations", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0]}
    inferred = json.loads(ask("/v2/models/cartpole/infer", {"inputs": [tensor]})[1])
    assert (inferred["model_name"], inferred["model_version"]) == ("cartpole", "1")
    acted = json.loads(ask("/v1/policies/cartpole:act", {"observations": [0, 0, 0, 0]})[1])
    assert acted["version"] == 1
    assert "/v2/models/{model}/infer" in json.loads(ask("/v1/openapi.json")[1])["paths"]


def test_a_job_outlives_its_trainer(compose: Compose, policyctl: Policyctl) -> None:
    """If the trainer is killed during a job, the job resumes from its checkpoint afterwards."""
    settings = (
        "--seed",
        "1",
        "--set",
        "total_timesteps=2000000",
        "--set",
        "checkpoint_seconds=1",
        "--no-promote",
    )
    job = policyctl("retrain", *CARTPOLE, *settings)["job"]["job_id"]

    def show() -> Any:
        shown = policyctl("jobs", "show", job)
        return shown.get("job", shown)

    await_that(lambda: show().get("progress", {}).get("env_steps", 0) > 10_000, 120, "10,000 steps")
    [container] = compose.containers("trainer")
    run("docker", "kill", container)
    assert policyctl("act", "0,0,0,0", "--policy", "cartpole")
    compose("up", "--detach", "trainer")
    await_that(lambda: show_or_none(policyctl, job) == "SUCCEEDED", 300, "the job succeeds")
    assert show()["attempts"] >= 2
    assert policyctl.champion()[0] == 1


def show_or_none(policyctl: Policyctl, job: str) -> str | None:
    """The job's state; None while the trainer is unavailable."""
    try:
        shown = policyctl("jobs", "show", job)
    except AssertionError:
        return None
    return str(shown.get("job", shown)["state"])


def test_a_restarted_server_serves_the_same_champion(compose: Compose, policyctl: Policyctl) -> None:
    """The server starts from the files on disk. SIGTERM ends it with 0 within its grace period."""
    policyctl("promote", "2", "--policy", "cartpole")
    before = policyctl.champion()
    assert before[0] == 2
    [container] = compose.containers("server")
    compose("stop", "server")
    assert run("docker", "inspect", "-f", "{{.State.ExitCode}}", container).strip() == b"0"
    compose("start", "server")
    compose.await_health("server")
    assert Policyctl(compose.address("server", 50051)).champion() == before


def test_a_promotion_is_rolled_back(policyctl: Policyctl) -> None:
    """Version 1 is restored without the trainer."""
    policyctl("rollback", "--policy", "cartpole")
    assert policyctl.champion()[0] == 1


def test_a_backup_restores_into_an_empty_stack(compose: Compose, policyctl: Policyctl) -> None:
    """The commands are those of docs/guide/operations.md.

    The restored stack serves the same champion and knows the same jobs.
    """
    champion, jobs = policyctl.champion(), policyctl("jobs", "list")["jobs"]
    tar = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar")
    repository = compose(*tar, "server", "-C", "/var/lib/policyd/repository", "-c", "aliases", "models")
    compose("stop", "trainer")
    table = compose(*tar, "trainer", "-C", "/var/lib/policyd/jobs", "-c", ".")
    compose("down", "--volumes")
    compose(*tar, "server", "-C", "/var/lib/policyd/repository", "-x", data=repository)
    compose(*tar, "trainer", "-C", "/var/lib/policyd/jobs", "-x", data=table)
    compose("up", "--detach", "server", "trainer")
    compose.await_health("server", "trainer")
    restored = Policyctl(compose.address("server", 50051))
    assert restored.champion() == champion
    assert [job["job_id"] for job in restored("jobs", "list")["jobs"]] == [job["job_id"] for job in jobs]


def test_three_servers_behind_envoy_converge(compose: Compose) -> None:
    """A promotion through Envoy reaches every replica, and all replicas respond."""
    scaled = Compose(*SCALED)
    scaled("up", "--detach", "--scale", "server=3", "server", "envoy", "trainer")
    scaled.await_health("server")
    assert len(scaled.containers("server")) == 3
    through_envoy = Policyctl(scaled.address("envoy", 50051))
    await_that(lambda: serves(through_envoy, 1), 60, "Envoy knows its servers")
    through_envoy("promote", "2", "--policy", "cartpole")
    replicas = [Policyctl(scaled.address("server", 50051, index)) for index in (1, 2, 3)]
    await_that(lambda: all(serves(each, 2) for each in replicas), 30, "all replicas serve version 2")
    assert [each.champion()[0] for each in replicas] == [2, 2, 2]


def serves(policyctl: Policyctl, version: int) -> bool:
    try:
        return policyctl.champion()[0] == version
    except AssertionError:
        return False


def test_an_upgrade_in_mid_job(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands are those of docs/guide/operations.md.

    No call fails, the champion stays, and the job succeeds.
    """
    scaled = Compose(*SCALED)
    through_envoy = Policyctl(scaled.address("envoy", 50051))
    champion = through_envoy.champion()
    settings = ("--seed", "2", "--set", "total_timesteps=30000", "--set", "checkpoint_seconds=1")
    job = through_envoy("retrain", *CARTPOLE, *settings, "--no-promote")["job"]["job_id"]
    for service in ("server", "trainer"):
        run("docker", "tag", f"policyd-{service}:0.2.0", f"policyd-{service}:upgraded")
    with Acting(through_envoy.address) as acting, monkeypatch.context() as environment:
        environment.setenv("POLICYD_VERSION", "upgraded")
        old = scaled.containers("server")
        scaled("up", "--detach", "--no-recreate", "--scale", "server=6", "server")
        scaled.await_health("server", seconds=400)
        run("docker", "stop", "-t", "40", *old)
        run("docker", "rm", *old)
        scaled("up", "--detach", "--scale", "server=3", "server", "envoy", "trainer")
        await_that(lambda: show_or_none(through_envoy, job) == "SUCCEEDED", 300, "the job succeeds")
        images = [run("docker", "inspect", "-f", "{{.Config.Image}}", c) for c in scaled.containers("server")]
    assert images == [b"policyd-server:upgraded\n"] * 3
    assert acting.failures == []
    assert acting.answered > 0
    assert through_envoy.champion() == champion


def test_prometheus_answers_the_queries_of_every_panel(compose: Compose) -> None:
    """With the shipped configuration, every query has data while servers respond and jobs run."""
    scaled = Compose(*SCALED)
    scaled("up", "--detach", "--scale", "server=3", "server", "envoy", "trainer")
    scaled("--profile", "observability", "up", "--detach", "--no-deps", "prometheus")
    address = scaled.address("prometheus", 9090)
    await_that(lambda: value(address, 'sum(up{job="server"})') == 3, 90, "Prometheus scrapes three servers")
    await_that(lambda: value(address, 'sum(up{job="trainer"})') == 1, 60, "Prometheus scrapes the trainer")
    through_envoy = Policyctl(scaled.address("envoy", 50051))
    # Drift is reported only for versions with statistics.
    normalized = ("--set", "normalize_observations=true", "--set", "total_timesteps=4000", "--no-promote")
    trained = through_envoy("retrain", *CARTPOLE, *normalized, "--wait", seconds=400)
    through_envoy("promote", str(trained["job"]["result"]["version"]), "--policy", "cartpole")
    endless = through_envoy("retrain", *CARTPOLE, "--set", "total_timesteps=500000000", "--no-promote")

    play = ("play", "--policy", "cartpole", "--env", "CartPole-v1", "--episodes", "2")

    def has_value(expression: str) -> bool:
        through_envoy(*play, "--sample")
        through_envoy(*play)  # requests that are not sampled go through the queue
        return value(address, expression) is not None

    for expression in panels():
        await_that(functools.partial(has_value, expression), 90, expression)
    assert value(address, 'sum(policyd_jobs{state="RUNNING"})') == 1
    through_envoy("jobs", "cancel", endless["job"]["job_id"])


def test_servers_that_are_gone_are_told_of(compose: Compose) -> None:
    """A stopped server has no DNS name and cannot be scraped. That triggers an alert, too."""
    scaled = Compose(*SCALED)
    address = scaled.address("prometheus", 9090)
    alert = 'count(ALERTS{alertname="PolicydServerDown", instance=""})'
    assert value(address, alert) is None
    scaled("stop", "server")
    await_that(lambda: value(address, alert) is not None, 90, "PolicydServerDown")
    assert value(address, 'count(up{job="server"} == 1)') is None
    scaled("start", "server")
    await_that(lambda: value(address, alert) is None, 90, "the alert ends")


def test_tls_tokens_and_roles(compose: Compose, tmp_path: Path) -> None:
    """docker-compose.secure.yml runs with the files of deploy/secrets.

    The trainer responds only to its server.
    """
    scaled = Compose(*SCALED)
    assert error_lines(scaled) == []
    scaled("--profile", "observability", "down", "--remove-orphans")
    run("deploy/secrets", str(tmp_path))
    os.environ["POLICYD_SECRETS"] = str(tmp_path)
    secure = Compose("docker-compose.yml", "docker-compose.secure.yml")
    secure("up", "--detach", "server", "trainer")
    secure.await_health("server", "trainer")
    address = secure.address("server", 50051).replace("127.0.0.1", "localhost")
    clients = tmp_path / "clients"

    def as_role(role: str) -> Policyctl:
        token = (clients / f"{role}.token").read_text()
        return Policyctl(address, "--tls-ca", str(clients / "ca.crt"), "--token", token)

    assert as_role("act")("act", "0,0,0,0", "--policy", "cartpole")
    assert as_role("train")("jobs", "list")["jobs"]
    as_role("admin")("promote", "1", "--policy", "cartpole")
    with pytest.raises(AssertionError, match="ROLE_MISSING"):
        as_role("act")("promote", "2", "--policy", "cartpole")
    with pytest.raises(AssertionError, match="UNAUTHENTICATED"):
        Policyctl(address, "--tls-ca", str(clients / "ca.crt"))("policies")
    past_the_server = (
        "python",
        "-m",
        "policyd",
        "--server",
        "trainer:50052",
        "--tls-ca",
        "/run/policyd/ca.crt",
    )
    with pytest.raises(AssertionError, match="UNAUTHENTICATED"):
        secure("exec", "-T", "server", *past_the_server, "jobs", "list")
    history = as_role("act")("policies")["policies"][0]["aliases"][0]["history"]
    assert history[-1]["actor"] == "admin"
    logs = secure("logs", "--no-color").decode()
    assert not any(path.read_text() in logs for path in clients.glob("*.token"))


def error_lines(compose: Compose) -> list[str]:
    """The lines that server and trainer logged as errors."""
    lines = compose("logs", "--no-color", "server", "trainer").decode().splitlines()
    return [line for line in lines if '"level": "ERROR"' in line or "Traceback" in line]


def test_the_stack_leaves_nothing_behind(compose: Compose) -> None:
    """Successful work leaves no error line, and afterwards no container, network or volume."""
    secure = Compose("docker-compose.yml", "docker-compose.secure.yml")
    assert error_lines(secure) == []
    secure("down", "--volumes", "--remove-orphans")
    run("docker", "rmi", "policyd-server:upgraded", "policyd-trainer:upgraded")
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
        assert run("docker", *kind, "-q", "--filter", label) == b""
