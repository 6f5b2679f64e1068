"""From an ONNX file and an environment to an artifact that the server can check and publish."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format

from policy_api.v1 import artifact_pb2
from policy_api.v1.policy_pb2 import VersionContents, VersionFile
from policyd.cli.episodes import make
from policyd.errors import CorruptArtifact, FailedPrecondition, InvalidArgument

METADATA_KEY = "policy_metadata"
FILE = "model.onnx"


def prepared(
    source: Path, folder: Path, *, policy: str, env_id: str | None, outputs: Mapping[str, str]
) -> VersionContents:
    """Writes model.onnx into `folder` with the artifact's inputs, outputs and metadata.

    A model that this project exported keeps its metadata. For any other model, the environment
    `env_id` defines the spaces, and `outputs` names the tensors whose meaning is not clear.

    Raises:
        FailedPrecondition: the package onnx or gymnasium is not installed.
        CorruptArtifact: the file is not an ONNX model.
        InvalidArgument: the graph's inputs or outputs do not fit the environment's spaces.
    """
    onnx = _onnx()
    model = _loaded(onnx, source)
    known = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    if known is not None:
        metadata = _parsed(known, source)
        metadata.policy = policy
    else:
        metadata = _described(model, policy, env_id)
        graph = importlib.import_module("policyd.cli.onnx_models.graph")
        model = graph.conform(model, metadata, outputs)
    _keep_metadata(model, metadata)
    onnx.save_model(model, folder / FILE)
    digest = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    return VersionContents(policy=policy, metadata=metadata, files=[VersionFile(name=FILE, digest=digest)])


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        message = "import reads the ONNX model on this machine: pip install 'policyd[onnx]'"
        raise FailedPrecondition(message, reason="NO_ONNX") from error


def _loaded(onnx: Any, source: Path) -> Any:
    """Returns the model, with the weights that are stored in files beside it."""
    try:
        model = onnx.load(source)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's, onnx's and the system's errors have no common base
        why = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise CorruptArtifact(f"{source} is not a readable ONNX model: {why}") from error
    return model


def _parsed(text: str, source: Path) -> artifact_pb2.PolicyMetadata:
    try:
        return json_format.Parse(text, artifact_pb2.PolicyMetadata(), ignore_unknown_fields=True)
    except (ValueError, RecursionError, json_format.ParseError) as error:
        message = f"{source}: its {METADATA_KEY} cannot be read: {str(error)[:200]}"
        raise CorruptArtifact(message) from error


def _described(model: Any, policy: str, env_id: str | None) -> artifact_pb2.PolicyMetadata:
    if not env_id:
        wanted = "the environment that the policy plays: it says what observations and actions are"
        raise InvalidArgument.of("--env", got="nothing", wanted=wanted)
    environment = make(env_id)
    try:
        describe = importlib.import_module("policyd.gym_spaces").describe
        observations = describe(environment.observation_space)
        actions = describe(environment.action_space, "action space")
        distribution = _distribution(environment.action_space)
    finally:
        environment.close()
    metadata = artifact_pb2.PolicyMetadata(
        format=1,
        policy=policy,
        observation_space=observations,
        action_space=actions,
        distribution=distribution,
        algorithm="imported",
        env_id=env_id,
    )
    if model.producer_name:
        metadata.packages[model.producer_name] = model.producer_version or "unknown"
    return metadata


def _distribution(space: Any) -> artifact_pb2.Distribution:
    """Returns the distribution over a Gymnasium action space.

    Box actions are in the environment's units.
    """
    kind = type(space).__name__
    if kind == "Discrete":
        return artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=int(space.n)))
    if kind == "MultiDiscrete":
        nvec = space.nvec.reshape(-1).tolist()
        return artifact_pb2.Distribution(
            multi_categorical=artifact_pb2.MultiCategoricalDistribution(nvec=nvec)
        )
    if kind == "MultiBinary":
        n = int(np.prod(space.shape))
        return artifact_pb2.Distribution(bernoulli=artifact_pb2.BernoulliDistribution(n=n))
    if kind == "Box":
        gaussian = artifact_pb2.GaussianDistribution(
            size=int(np.prod(space.shape)),
            squash=artifact_pb2.GaussianDistribution.CLIP,
            low=space.low.reshape(-1).astype(float).tolist(),
            high=space.high.reshape(-1).astype(float).tolist(),
        )
        return artifact_pb2.Distribution(gaussian=gaussian)
    wanted = "Discrete, MultiDiscrete, MultiBinary or Box"
    raise InvalidArgument.of("--env", got=f"an action space of kind {kind}", wanted=wanted)


def _keep_metadata(model: Any, metadata: artifact_pb2.PolicyMetadata) -> None:
    text = json.dumps(json_format.MessageToDict(metadata, preserving_proto_field_name=True))
    kept = [(entry.key, entry.value) for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    for key, value in [*kept, (METADATA_KEY, text)]:
        model.metadata_props.add(key=key, value=value)
