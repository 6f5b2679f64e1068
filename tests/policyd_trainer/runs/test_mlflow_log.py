"""Runs in MLflow, with the real package and a tracking store in a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policyd.errors import FailedPrecondition
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.export.metadata import describe
from policyd_trainer.runs import mlflow_log
from policyd_trainer.runs.curve import Curve, Point

HAVE_MLFLOW = importlib.util.find_spec("mlflow") is not None
NEEDS_MLFLOW = pytest.mark.skipif(
    not HAVE_MLFLOW, reason="the extra `mlflow` is not installed: logging to MLflow was NOT tested"
)
QUIET = pytest.mark.filterwarnings("ignore")  # MLflow warns about its own use of SQLAlchemy
CURVE = Curve([Point(k, 1000.0 + k, {"rollout/ep_rew_mean": 10.0 * k}) for k in range(3)])


def published(root: Path) -> tuple[TrainingConfig, ModelRepository, PublishedVersion]:
    config = resolve_config("pole", "CartPole-v1", "a2c", 0, {"preset": "course"})
    info = inspect(config)
    metadata: artifact_pb2.PolicyMetadata = describe(config, info.encoder, info.codec, None)
    metadata.evaluation.greedy.mean = 77.0
    files: dict[str, Path | bytes] = {"model.onnx": b"any bytes", "learning_curve.png": b"a picture"}
    repository = ModelRepository(root)
    return config, repository, repository.publish("pole", files, metadata=metadata)


@pytest.mark.skipif(HAVE_MLFLOW, reason="MLflow is installed")
def test_a_missing_package_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the variable is set and the package missing, the run is refused.

    The error says what to install.
    """
    mlflow_log.require()
    monkeypatch.setenv(mlflow_log.VARIABLE, "http://127.0.0.1:5000")
    with pytest.raises(FailedPrecondition, match=r"policyd\[mlflow\]"):
        mlflow_log.require()


def test_nothing_happens_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable MLflow is not imported."""
    monkeypatch.delenv(mlflow_log.VARIABLE, raising=False)
    config, repository, version = published(tmp_path)
    before = set(sys.modules)
    mlflow_log.log_run(config, CURVE, repository, version)
    assert not any(name.partition(".")[0] == "mlflow" for name in set(sys.modules) - before)


@NEEDS_MLFLOW
@QUIET
def test_a_run_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters, metrics, artifacts and the registered version are there once."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv(mlflow_log.VARIABLE, uri)
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts of a file store there
    config, repository, version = published(tmp_path)
    for _ in range(2):
        mlflow_log.log_run(config, CURVE, repository, version)
    client = importlib.import_module("mlflow").MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("pole").experiment_id])
    assert run.data.params["env_id"] == "CartPole-v1"
    assert run.data.metrics["eval/greedy_mean"] == 77.0
    history = client.get_metric_history(run.info.run_id, "rollout/ep_rew_mean")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.0), (1, 10.0), (2, 20.0)]
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"model.onnx", "learning_curve.png", "metadata.json"} <= artifacts
    (registered,) = client.search_model_versions("name = 'pole'")
    assert registered.tags["policyd.version"] == "1"


@NEEDS_MLFLOW
@QUIET
def test_a_run_that_broke_off_is_logged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that an attempt left unfinished, registered or not, is replaced by a whole one."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv(mlflow_log.VARIABLE, uri)
    monkeypatch.chdir(tmp_path)
    config, repository, version = published(tmp_path)
    mlflow_log.log_run(config, CURVE, repository, version)
    client = importlib.import_module("mlflow").MlflowClient(uri)
    experiment = client.get_experiment_by_name("pole").experiment_id
    (broken,) = client.search_runs([experiment])
    client.update_run(broken.info.run_id, status="RUNNING")  # as if killed before its end
    mlflow_log.log_run(config, CURVE, repository, version)
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.info.run_id != broken.info.run_id) == ("FINISHED", True)
    (registered,) = client.search_model_versions("name = 'pole'")
    assert registered.run_id == run.info.run_id


@NEEDS_MLFLOW
@QUIET
def test_a_store_that_is_down_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The version is still published, and the log says that MLflow does not have it."""
    monkeypatch.setenv(mlflow_log.VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config, repository, version = published(tmp_path)
    mlflow_log.log_run(config, CURVE, repository, version)
    assert "could not be logged to MLflow" in caplog.text
