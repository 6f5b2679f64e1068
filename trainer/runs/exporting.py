"""The EXPORTING phase: the files of a version."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from google.protobuf import json_format

from policy_api.v1 import artifact_pb2
from trainer.algorithms.build import NetworkSpecs, Weights
from trainer.algorithms.loop import TrainingLoop
from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo
from trainer.estimators.normalization import most_rows
from trainer.evaluation.figures import first_seed
from trainer.export import weights
from trainer.export.metadata import describe
from trainer.runs import tensorboard
from trainer.runs.checkpoint import RunState
from trainer.runs.evaluating import Evaluated

RANDOM = 1000  # observations of the parity check from all over the space

Files = dict[str, Path | bytes]


def export(
    config: TrainingConfig,
    info: EnvironmentInfo,
    specs: NetworkSpecs,
    loop: TrainingLoop,
    state: RunState,
    evaluated: Evaluated,
    lineage: artifact_pb2.Lineage | None,
    run_dir: Path,
) -> tuple[Files, artifact_pb2.PolicyMetadata]:
    """The model with its description inside, weights, curve and evaluation.

    Raises:
        ParityFailed: ONNX Runtime does not compute what torch does.
    """
    graphs = importlib.import_module("trainer.export.graph")  # torch and onnx: seconds to import
    picture = importlib.import_module("trainer.runs.picture")
    chosen = evaluated.snapshot
    metadata = describe(config, info, chosen.moments)
    metadata.training.CopyFrom(_training_figures(loop, state))
    metadata.evaluation.CopyFrom(evaluated.evaluation)
    if lineage is not None:
        metadata.lineage.CopyFrom(lineage)
    graph = graphs.PolicyGraph(specs, chosen, info.codec)
    model = graphs.to_onnx(graph, info.encoder.shape)
    metadata.parity.CopyFrom(_parity(config, info, evaluated, graph, model))
    described = json_format.MessageToJson(metadata, indent=None)
    model.metadata_props.add(key=graphs.METADATA_KEY, value=described)
    files: Files = {
        tensorboard.FILE: run_dir / "tensorboard" / tensorboard.FILE,
        "model.onnx": model.SerializeToString(),
        weights.FILE: weights.dump_weights(Weights(chosen.actor, chosen.critic)),
        "evaluation.json": _evaluation_json(evaluated.evaluation),
        picture.FILE: picture.draw(state.curve, metadata),
    }
    return files, metadata


def _parity(
    config: TrainingConfig, info: EnvironmentInfo, evaluated: Evaluated, graph: object, model: object
) -> artifact_pb2.ParityCertificate:
    graphs = importlib.import_module("trainer.export.graph")
    parity = importlib.import_module("trainer.export.parity")
    run_onnx = parity.runner(model.SerializeToString())  # type: ignore[attr-defined]  # onnx is imported late
    visited = np.concatenate((evaluated.greedy, evaluated.sampled))
    difference = max(
        parity.largest_difference(graphs.run_torch(graph, observations), run_onnx(observations))
        for observations in _observations(config, info, visited)
    )
    certificate: artifact_pb2.ParityCertificate = parity.certify(
        difference, random=RANDOM, visited=len(visited)
    )
    return certificate


def _observations(config: TrainingConfig, info: EnvironmentInfo, visited: np.ndarray) -> Iterator[np.ndarray]:
    """Random and visited ones [B, *shape] float32, of images a few at a time."""
    rng = np.random.default_rng(first_seed(config.seed, "parity"))
    some, shape = most_rows(visited), info.encoder.shape
    for start in range(0, RANDOM, some):
        yield info.encoder.random(rng, min(some, RANDOM - start)).reshape(-1, *shape)
    observed = visited[:, : info.encoder.observed]  # without the mask, which the graph does not take
    for start in range(0, len(observed), some):
        yield observed[start : start + some].astype(np.float32).reshape(-1, *shape)


def _training_figures(loop: TrainingLoop, state: RunState) -> artifact_pb2.TrainingFigures:
    return artifact_pb2.TrainingFigures(
        env_steps=loop.counters.env_steps,
        episodes=loop.episodes.episodes,
        updates=loop.learner.updates,
        seconds=state.seconds,
        device=loop.learner.backend.device,
        final_mean_return=loop.episodes.mean_return or 0.0,
    )


def _evaluation_json(evaluation: artifact_pb2.Evaluation) -> bytes:
    content = json_format.MessageToDict(evaluation, preserving_proto_field_name=True)
    return (json.dumps(content, indent=1) + "\n").encode()
