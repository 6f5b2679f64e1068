"""The EXPORTING phase: the files of a version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf import json_format

from policy_api.v1 import artifact_pb2
from policyd_trainer.algorithms.build import NetworkSpecs, Weights
from policyd_trainer.algorithms.interface import Loop
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo
from policyd_trainer.estimators.normalization import most_rows
from policyd_trainer.evaluation.figures import first_seed
from policyd_trainer.export import weights
from policyd_trainer.export.graph import METADATA_KEY, expected_outputs, policy_model
from policyd_trainer.export.metadata import describe
from policyd_trainer.export.parity import certify, largest_difference, runner
from policyd_trainer.rollouts import episodes
from policyd_trainer.runs import curve, tensorboard
from policyd_trainer.runs.checkpoint import RunState
from policyd_trainer.runs.evaluating import Evaluated

RANDOM = 1000  # random observations for the parity check

Files = dict[str, Path | bytes]


def export(
    config: TrainingConfig,
    info: EnvironmentInfo,
    specs: NetworkSpecs,
    loop: Loop,
    state: RunState,
    evaluated: Evaluated,
    lineage: artifact_pb2.Lineage | None,
    run_dir: Path,
) -> tuple[Files, artifact_pb2.PolicyMetadata]:
    """The files of a version: the model with its description, weights, curve and evaluation.

    Raises:
        ParityFailed: ONNX Runtime computes other outputs than the trainer.
    """
    chosen = evaluated.snapshot
    metadata = describe(config, info.encoder, info.codec, chosen.moments)
    metadata.training.CopyFrom(_training_figures(loop, state))
    metadata.evaluation.CopyFrom(evaluated.evaluation)
    if lineage is not None:
        metadata.lineage.CopyFrom(lineage)
    model = policy_model(specs, chosen, info.codec, info.encoder.shape)
    metadata.parity.CopyFrom(_parity(config, info, specs, evaluated, model))
    described = json_format.MessageToJson(metadata, indent=None)
    model.metadata_props.add(key=METADATA_KEY, value=described)
    files: Files = {
        tensorboard.FILE: run_dir / "tensorboard" / tensorboard.FILE,
        "model.onnx": model.SerializeToString(),
        weights.FILE: weights.dump_weights(Weights(chosen.actor, chosen.critic), chosen.moments),
        "evaluation.json": _evaluation_json(evaluated.evaluation),
        curve.FILE: state.curve.to_json(),
        episodes.FILE: loop.episodes.log.to_json(),
    }
    return files, metadata


def _parity(
    config: TrainingConfig,
    info: EnvironmentInfo,
    specs: NetworkSpecs,
    evaluated: Evaluated,
    model: onnx.ModelProto,
) -> artifact_pb2.ParityCertificate:
    run_onnx = runner(model.SerializeToString())
    visited = np.concatenate((evaluated.greedy, evaluated.sampled))
    difference = max(
        largest_difference(
            expected_outputs(specs, evaluated.snapshot, info.codec, observations), run_onnx(observations)
        )
        for observations in _observations(config, info, visited)
    )
    return certify(difference, random=RANDOM, visited=len(visited))


def _observations(config: TrainingConfig, info: EnvironmentInfo, visited: np.ndarray) -> Iterator[np.ndarray]:
    """Random and visited observations [B, *shape] float32. Images come a few at a time."""
    rng = np.random.default_rng(first_seed(config.seed, "parity"))
    some, shape = most_rows(visited), info.encoder.shape
    for start in range(0, RANDOM, some):
        yield info.encoder.random(rng, min(some, RANDOM - start)).reshape(-1, *shape)
    observed = visited[:, : info.encoder.observed]  # without the mask, which is no input of the graph
    for start in range(0, len(observed), some):
        yield observed[start : start + some].astype(np.float32).reshape(-1, *shape)


def _training_figures(loop: Loop, state: RunState) -> artifact_pb2.TrainingFigures:
    return artifact_pb2.TrainingFigures(
        env_steps=loop.counters.env_steps,
        episodes=loop.episodes.episodes,
        updates=loop.updates,
        seconds=state.seconds,
        device=loop.device,
        final_mean_return=loop.episodes.mean_return or 0.0,
    )


def _evaluation_json(evaluation: artifact_pb2.Evaluation) -> bytes:
    content = json_format.MessageToDict(evaluation, preserving_proto_field_name=True)
    return (json.dumps(content, indent=1) + "\n").encode()
