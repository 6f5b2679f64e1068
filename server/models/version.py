"""One published version in memory: its ONNX Runtime session and what is needed to answer with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from policy_api.errors import CorruptArtifact, Unimplemented
from policy_api.v1.artifact_pb2 import PolicyMetadata
from repository import ModelRepository, PublishedVersion
from server.sampling import Float32

OBSERVATIONS = "observations"
LOGITS = "action_logits"
PROBS = "action_probs"
VALUE = "value"

# Rows of one call of ONNX Runtime; larger requests are answered in several.
MAX_CALL_ROWS = 1024
# What is run before a version answers anyone: every power of two up to the largest call.
WARM_UP_ROWS = tuple(2**k for k in range(MAX_CALL_ROWS.bit_length()))


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class LoadedVersion:
    """A version that can answer. Its session lives as long as anybody holds it."""

    policy: str
    version: int
    digest: str  # SHA-256 of model.onnx, lower-case hexadecimal
    metadata: PolicyMetadata
    observation_shape: tuple[int, ...]  # of one observation
    observation_bytes: int  # of one observation
    n: int  # actions
    session: ort.InferenceSession
    outputs: tuple[str, ...]

    @property
    def has_value(self) -> bool:
        """Whether the policy has a critic."""
        return VALUE in self.outputs

    def infer(self, observations: Float32) -> tuple[Float32, Float32, Float32 | None]:
        """Logits, [B, n], probabilities, [B, n], and values, [B], of observations, [B, *shape]."""
        logits, probs, *value = self.session.run(self.outputs, {OBSERVATIONS: observations})
        return logits, probs, value[0] if value else None


def load_version(repository: ModelRepository, policy: str, version: int) -> LoadedVersion:
    """Reads, verifies, loads and warms up. NotFound, CorruptArtifact; Unimplemented: of another kind."""
    published = repository.read(policy, version)
    loaded = _open(published, repository.read_model(policy, version))
    warm_up(loaded)
    return loaded


def warm_up(loaded: LoadedVersion) -> None:
    """Runs every batch size once: no request pays for a first time. CorruptArtifact: bad probabilities."""
    for rows in WARM_UP_ROWS:
        probs = loaded.infer(np.zeros((rows, *loaded.observation_shape), np.float32))[1]
        if probs.shape != (rows, loaded.n) or not np.allclose(probs.sum(axis=1), 1, atol=1e-3):
            raise CorruptArtifact(f"{_name(loaded)} does not answer zeros with {loaded.n} probabilities")


def _open(published: PublishedVersion, model: bytes) -> LoadedVersion:
    metadata = published.metadata
    name = _name(published)
    if metadata.distribution.WhichOneof("kind") != "categorical":
        raise Unimplemented(f"{name}: this release serves policies with discrete actions")
    if metadata.observation_space.WhichOneof("kind") != "box":
        raise Unimplemented(f"{name}: this release serves policies with Box observations")
    shape = tuple(int(size) for size in metadata.observation_space.box.shape)
    loaded = LoadedVersion(
        policy=published.policy,
        version=published.version,
        digest=published.digest,
        metadata=metadata,
        observation_shape=shape,
        observation_bytes=4 * math.prod(shape),
        n=int(metadata.distribution.categorical.n),
        session=_session(model, name),
        outputs=(LOGITS, PROBS, VALUE) if metadata.has_value else (LOGITS, PROBS),
    )
    _check_graph(loaded)
    return loaded


def _session(model: bytes, name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # Calls are far shorter than handing work to another thread takes.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no base of their own
        raise CorruptArtifact(f"{name}: ONNX Runtime cannot load it: {error}") from error


def _check_graph(loaded: LoadedVersion) -> None:
    """The graph's tensors are those that the metadata promises."""
    wanted_inputs = {OBSERVATIONS: loaded.observation_shape}
    wanted_outputs = {LOGITS: (loaded.n,), PROBS: (loaded.n,), VALUE: ()}
    inputs = {i.name: tuple(i.shape[1:]) for i in loaded.session.get_inputs() if i.type == "tensor(float)"}
    outputs = {o.name: tuple(o.shape[1:]) for o in loaded.session.get_outputs() if o.type == "tensor(float)"}
    if inputs != wanted_inputs:
        raise CorruptArtifact(f"{_name(loaded)}: inputs are {inputs}, its metadata wants {wanted_inputs}")
    for output in loaded.outputs:
        if outputs.get(output) != wanted_outputs[output]:
            message = (
                f"{_name(loaded)}: output {output} is {outputs.get(output)}, wanted {wanted_outputs[output]}"
            )
            raise CorruptArtifact(message)


def _name(version: PublishedVersion | LoadedVersion) -> str:
    return f"{version.policy} version {version.version}"
