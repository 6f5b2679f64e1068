"""Runs in MLflow, with the real package and a tracking store in a file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from policy_api.errors import FailedPrecondition
from trainer.runs import mlflow_log

HAVE_MLFLOW = importlib.util.find_spec("mlflow") is not None
RUN = [
    "--policy",
    "pole",
    "--env",
    "CartPole-v1",
    "--algorithm",
    "a2c",
    "--progress",
    "none",
    "--job-id",
    "j",
]
SETTINGS = ["total_timesteps=2000", "evaluation_episodes=3", "candidates=1"]


def train(repository: Path, uri: str) -> subprocess.CompletedProcess[str]:
    pairs = [part for pair in SETTINGS for part in ("--set", pair)]
    line = [sys.executable, "-m", "trainer", "train", *RUN, "--repository", str(repository), *pairs]
    environment = os.environ | {mlflow_log.VARIABLE: uri}
    return subprocess.run(line, capture_output=True, text=True, timeout=110, check=False, env=environment)


@pytest.mark.skipif(HAVE_MLFLOW, reason="MLflow is installed")
def test_a_missing_package_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable set and no package the run is refused, and says what to install."""
    mlflow_log.require()
    monkeypatch.setenv(mlflow_log.VARIABLE, "http://127.0.0.1:5000")
    with pytest.raises(FailedPrecondition, match=r"policyd\[mlflow\]"):
        mlflow_log.require()


@pytest.mark.skipif(
    not HAVE_MLFLOW, reason="the extra `mlflow` is not installed: logging to MLflow was NOT tested"
)
@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own use of SQLAlchemy
def test_a_run_is_logged(tmp_path: Path) -> None:
    """Parameters, metrics, artifacts and the registered version are in MLflow after the run."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = train(tmp_path / "repository", uri)
    assert done.returncode == 0, done.stderr
    assert "could not be logged" not in done.stderr, done.stderr
    client = importlib.import_module("mlflow").MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("pole").experiment_id])
    assert run.data.params["env_id"] == "CartPole-v1"
    assert run.data.metrics["eval/greedy_mean"] > 0
    assert len(client.get_metric_history(run.info.run_id, "rollout/ep_rew_mean")) > 1
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"model.onnx", "learning_curve.png"} <= artifacts
    (version,) = client.search_model_versions("name = 'pole'")
    assert version.tags["policyd.version"] == "1"


@pytest.mark.skipif(
    not HAVE_MLFLOW, reason="the extra `mlflow` is not installed: logging to MLflow was NOT tested"
)
def test_a_store_that_is_down_does_not_fail_the_run(tmp_path: Path) -> None:
    """The version is published, and the log says that MLflow does not have it."""
    done = train(tmp_path / "repository", "sqlite:////proc/nowhere/at/all.db")
    assert done.returncode == 0, done.stderr
    assert "could not be logged to MLflow" in done.stderr
