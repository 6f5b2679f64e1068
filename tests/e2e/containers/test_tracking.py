"""TensorBoard and MLflow of docker-compose.yml on a real engine: each shows a run.

The commands are those of docs/guide/deployment.md. Run by `make e2e`.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.containers.compose import Compose, Policyctl, await_that

pytestmark = [
    pytest.mark.skipif("POLICYD_E2E" not in os.environ, reason="needs a container engine: make e2e"),
    pytest.mark.timeout(1200),
]

TRAIN = (
    "--policy",
    "cartpole",
    "--env",
    "CartPole-v1",
    "--algorithm",
    "a2c",
    "--set",
    "total_timesteps=8000",
)
PROFILES = ("--profile", "observability", "--profile", "mlflow")


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The stack with both services, from an image with the extra `mlflow`.

    It is removed afterwards.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("POLICYD_EXTRAS", "mlflow")
        environment.setenv("POLICYD_VERSION", "e2e-mlflow")
        environment.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
        compose = Compose("docker-compose.yml")
        compose(*PROFILES, "down", "--volumes", "--remove-orphans")
        compose("build", "server", "trainer", seconds=1100)
        compose(*PROFILES, "up", "--detach", "server", "trainer", "tensorboard", "mlflow")
        yield compose
        print(compose("logs", "--no-color").decode()[-8000:])  # noqa: T201  for a test that failed
        compose(*PROFILES, "down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="module")
def version(compose: Compose) -> int:
    """The number of a version that a job has published."""
    compose.await_health("server", "trainer", seconds=200)
    # A run that ends while the tracking server is down is not logged: docs/guide/training.md.
    health = f"http://{compose.address('mlflow', 5000)}/health"
    await_that(lambda: _is_up(health), 300, "MLflow answers")
    policyctl = Policyctl(compose.address("server", 50051))
    outcome = policyctl("retrain", *TRAIN, "--wait", seconds=400)
    assert outcome["job"]["state"] == "SUCCEEDED"
    return int(outcome["job"]["result"]["version"])


def test_tensorboard_shows_the_run(compose: Compose, version: int) -> None:
    """The run is listed by policy and version, with the return of its training episodes."""
    at = f"http://{compose.address('tensorboard', 6006)}/data"
    run_name = f"cartpole/{version}"

    def listed() -> bool:
        return run_name in (_asked(f"{at}/runs") or [])

    await_that(listed, 120, f"TensorBoard lists {run_name}")
    tags = _asked(f"{at}/plugin/scalars/tags")[run_name]
    assert tags
    tag = next(iter(tags))
    points = _asked(f"{at}/plugin/scalars/scalars?run={run_name}&tag={tag}")
    assert len(points) > 1


def test_mlflow_shows_the_run(compose: Compose, version: int) -> None:
    """The run has parameters, metrics and the model, and the policy is a registered model."""
    at = f"http://{compose.address('mlflow', 5000)}/api/2.0/mlflow"

    def runs() -> list[Any]:
        found = _asked(f"{at}/experiments/get-by-name?experiment_name=cartpole")
        if not found:
            return []
        wanted = {"experiment_ids": [found["experiment"]["experiment_id"]]}
        return list((_asked(f"{at}/runs/search", wanted) or {}).get("runs", []))

    def finished() -> bool:
        return [each["info"]["status"] for each in runs()] == ["FINISHED"]

    await_that(finished, 180, "MLflow has the run")
    [logged] = runs()
    tags = {tag["key"]: tag["value"] for tag in logged["data"]["tags"]}
    assert tags["policyd.version"] == str(version)
    assert {"env_id", "algorithm", "seed"} <= {each["key"] for each in logged["data"]["params"]}
    assert "eval/greedy_mean" in {each["key"] for each in logged["data"]["metrics"]}
    files = _asked(f"{at}/artifacts/list?run_id={logged['info']['run_id']}")["files"]
    assert "model.onnx" in {each["path"] for each in files}
    models = _asked(f"{at}/registered-models/get?name=cartpole")
    assert models["registered_model"]["name"] == "cartpole"
    logs = compose("logs", "--no-color", "trainer").decode()
    assert "could not be logged" not in logs


def _asked(url: str, body: Any = None) -> Any:
    """The document; None while there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except OSError:
        return None


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
