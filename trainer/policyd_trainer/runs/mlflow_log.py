"""The run in MLflow: parameters, metrics, artifacts and the registered version.

Written when the environment variable MLFLOW_TRACKING_URI is set; the package is the extra `mlflow`.
The published version counts, so a tracking server that is down is a warning in the log, not a
failed run.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import os
from collections.abc import Mapping
from typing import Any

from policyd.errors import FailedPrecondition
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.records import METADATA
from policyd.repository.versions import MAX_METADATA_BYTES
from policyd.runtime.no_proxy import except_loopback
from policyd.temporary import TemporaryFolder
from policyd_trainer.config import TrainingConfig
from policyd_trainer.runs.curve import Curve

VARIABLE = "MLFLOW_TRACKING_URI"
BATCH = 1000  # most metrics in one request
LONGEST_PARAMETER = 500  # most characters of a parameter that MLflow stores
logger = logging.getLogger(__name__)


def require() -> None:
    """Checks before the run that MLflow can be used, if the variable asks for it.

    Raises:
        FailedPrecondition: the variable is set, but the package is not installed.
    """
    if os.environ.get(VARIABLE) and importlib.util.find_spec("mlflow") is None:
        raise FailedPrecondition(
            f"{VARIABLE} is set, but MLflow is not installed: pip install 'policyd[mlflow]'"
        )


def log_run(
    config: TrainingConfig, curve: Curve, repository: ModelRepository, published: PublishedVersion
) -> None:
    """Logs a published version. Does nothing if the variable is not set."""
    if not os.environ.get(VARIABLE):
        return
    except_loopback()
    try:
        _log(importlib.import_module("mlflow"), config, curve, repository, published)
    except Exception:
        logger.warning("the run is published, but could not be logged to MLflow", exc_info=True)


def _log(
    mlflow: Any,
    config: TrainingConfig,
    curve: Curve,
    repository: ModelRepository,
    published: PublishedVersion,
) -> None:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(config.policy)
    experiment_id = (
        client.create_experiment(config.policy) if experiment is None else experiment.experiment_id
    )
    tags = {"policyd.version": str(published.version), "policyd.digest": published.digest}
    for earlier in client.search_runs([experiment_id], f"tags.`policyd.digest` = '{published.digest}'"):
        if earlier.info.status == "FINISHED":
            return  # an earlier attempt has already logged it
        _remove(client, config.policy, earlier.info.run_id)  # that attempt broke off in the middle
    run = client.create_run(experiment_id, tags=tags, run_name=f"{config.policy}-{published.version}")
    run_id = run.info.run_id
    client.log_batch(run_id, params=_parameters(mlflow.entities, config))
    metrics = _metrics(mlflow.entities, curve, published)
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    with TemporaryFolder("mlflow") as folder:
        description = repository.storage.read(
            published.policy, published.version, METADATA, MAX_METADATA_BYTES
        )
        (folder.path / METADATA).write_bytes(description or b"")
        for name in published.files:
            (folder.path / name).write_bytes(repository.read_published(published, name))
        for name in repository.added_files(published):
            (folder.path / name).write_bytes(repository.read_added(published, name))
        client.log_artifacts(run_id, str(folder.path))
    _register(client, config.policy, run, tags)
    client.set_terminated(run_id)


def _remove(client: Any, policy: str, run_id: str) -> None:
    for version in client.search_model_versions(f"run_id = '{run_id}'"):
        client.delete_model_version(policy, version.version)
    client.delete_run(run_id)


def _parameters(entities: Any, config: TrainingConfig) -> list[Any]:
    identity = {"env_id": config.env_id, "algorithm": config.algorithm, "seed": str(config.seed)}
    settings: Mapping[str, str] = {**config.settings(), **identity}
    return [entities.Param(name, value[:LONGEST_PARAMETER]) for name, value in settings.items()]


def _metrics(entities: Any, curve: Curve, published: PublishedVersion) -> list[Any]:
    metrics = [
        entities.Metric(name, value, int(point.wall_time * 1000), point.env_steps)
        for point in curve.points
        for name, value in point.scalars.items()
        if math.isfinite(value)
    ]
    last = curve.points[-1] if curve.points else None
    now, step = (int(last.wall_time * 1000), last.env_steps) if last else (0, 0)
    evaluation = published.metadata.evaluation
    metrics.append(entities.Metric("eval/greedy_mean", evaluation.greedy.mean, now, step))
    metrics.append(entities.Metric("eval/sampled_mean", evaluation.sampled.mean, now, step))
    return metrics


def _register(client: Any, policy: str, run: Any, tags: Mapping[str, str]) -> None:
    if not client.search_registered_models(f"name = '{policy}'", max_results=1):
        client.create_registered_model(policy)
    source = f"{run.info.artifact_uri}/model.onnx"
    client.create_model_version(policy, source, run_id=run.info.run_id, tags=dict(tags))
