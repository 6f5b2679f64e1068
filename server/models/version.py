"""One published version in memory: its ONNX Runtime session and what is needed to answer with it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime as ort

from policy_api import spaces
from policy_api.errors import CorruptArtifact
from policy_api.tensors import OBSERVATIONS, VALUE, Tensors, output_tensors
from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.policy_pb2 import ActResponse
from repository import ModelRepository, PublishedVersion
from server import compiled
from server.heads.categorical import CategoricalHead
from server.heads.chosen import head_for
from server.heads.interface import Head
from server.models.bound import BoundRows
from server.sampling import Float32

# Rows of one call of ONNX Runtime; larger requests are answered in several.
MAX_CALL_ROWS = 1024
# What is run before a version answers anyone: every power of two up to the largest call.
WARM_UP_ROWS = tuple(2**k for k in range(MAX_CALL_ROWS.bit_length()))
# No thread that receives requests makes calls of ONNX Runtime that compute for longer: others want a turn.
QUICK_SECONDS = 1e-3
# Where fewer rows than these take as long, calls run in a thread of their own.
MIN_QUICK_ROWS = 16
_TIMINGS = 3  # of which the best counts
# The event loop's, and the one that a transport may have.
ANSWERING_THREADS = 2


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class LoadedVersion:
    """A version that can answer. Its session lives as long as anybody holds it."""

    policy: str
    version: int
    digest: str  # SHA-256 of model.onnx, lower-case hexadecimal
    metadata: PolicyMetadata
    observation_shape: tuple[int, ...]  # of one observation
    observation_bytes: int  # of one observation
    observation_parts: tuple[spaces.Leaf, ...]  # what an observation consists of
    choices: spaces.Choices | None  # where an observation names one choice of several
    head: Head  # what the outputs mean
    session: ort.InferenceSession
    tensors: Tensors  # the graph's outputs: those that the head takes, then the value
    receipt: bytes  # how every answer begins: a serialised ActResponse with policy, version and digest
    slow: bool = False  # its calls run in a thread of their own
    call_rows: int = MAX_CALL_ROWS  # of one call of ONNX Runtime
    bounds: tuple[BoundRows, ...] = ()  # one a thread that may answer plain requests without a ticket

    @property
    def has_value(self) -> bool:
        """Whether the policy has a critic."""
        return VALUE in self.tensors

    def infer(self, observations: Float32) -> tuple[list[Float32], Float32 | None]:
        """The head's tensors and the values, [B], of observations, [B, *shape]."""
        tensors: list[Float32] = self.session.run(list(self.tensors), {OBSERVATIONS: observations})
        return tensors, tensors.pop() if self.has_value else None


def load_version(repository: ModelRepository, policy: str, version: int) -> LoadedVersion:
    """Reads, verifies, loads and warms up. NotFound, CorruptArtifact; Unimplemented: of another kind."""
    published = repository.read(policy, version)
    loaded = _open(published, repository.read_model(policy, version))
    quick_rows = warm_up(loaded)
    if quick_rows < MIN_QUICK_ROWS:
        return replace(loaded, slow=True)
    return replace(loaded, call_rows=quick_rows, bounds=_bounds(loaded, quick_rows))


def warm_up(loaded: LoadedVersion) -> int:
    """Runs every batch size once: no request pays for a first time. CorruptArtifact: bad outputs.

    Returns the rows of the largest call that takes less than QUICK_SECONDS; 0: none does.
    """
    quick_rows = 0
    for rows in WARM_UP_ROWS:
        observations = np.zeros((rows, *loaded.observation_shape), np.float32)
        tensors, values = loaded.infer(observations)
        shapes = [tensor.shape for tensor in (*tensors, *([] if values is None else [values]))]
        wanted = [(rows, *shape) for shape in loaded.tensors.values()]
        if shapes != wanted or not loaded.head.plausible(tensors):
            names = ", ".join(loaded.tensors)
            raise CorruptArtifact(f"{_name(loaded)} does not answer zeros with sound {names}")
        if quick_rows == rows // 2 and _is_quick(loaded, observations):
            quick_rows = rows
    return quick_rows


def _is_quick(loaded: LoadedVersion, observations: Float32) -> bool:
    for _ in range(_TIMINGS):
        begin = time.thread_time()  # of this thread, whatever else the machine does
        loaded.infer(observations)
        if time.thread_time() - begin < QUICK_SECONDS:
            return True
    return False


def _open(published: PublishedVersion, model: bytes) -> LoadedVersion:
    metadata = published.metadata
    name = _name(published)
    head = head_for(metadata)
    shape = spaces.row_shape(metadata.observation_space)
    parts = spaces.leaves(metadata.observation_space)
    loaded = LoadedVersion(
        policy=published.policy,
        version=published.version,
        digest=published.digest,
        metadata=metadata,
        observation_shape=shape,
        observation_bytes=4 * math.prod(shape),
        observation_parts=parts,
        choices=spaces.choices(parts),
        head=head,
        session=_session(model, name),
        tensors=output_tensors(metadata),
        receipt=ActResponse(
            policy=published.policy, version=published.version, digest=published.digest
        ).SerializeToString(),
    )
    _check_graph(loaded)
    return loaded


def _bounds(loaded: LoadedVersion, max_rows: int) -> tuple[BoundRows, ...]:
    """None where nothing is compiled, or where no request of this kind is plain."""
    if not compiled.AVAILABLE or not isinstance(loaded.head, CategoricalHead) or loaded.choices is not None:
        return ()
    return tuple(_bound(loaded, loaded.head.n, max_rows) for _ in range(ANSWERING_THREADS))


def _bound(loaded: LoadedVersion, n: int, max_rows: int) -> BoundRows:
    bound = BoundRows(
        loaded.session,
        loaded.observation_shape,
        n,
        max_rows=max_rows,
        has_value=loaded.has_value,
        receipt=loaded.receipt,
    )
    bound.answers([((None, 0, 1), bytes(loaded.observation_bytes))])
    return bound


def _session(model: bytes, name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # Calls are far shorter than handing work to another thread takes.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = (
        4  # it would write beside our log, and what a node was given; errors are raised
    )
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no base of their own
        raise CorruptArtifact(f"{name}: ONNX Runtime cannot load it: {error}") from error


def _check_graph(loaded: LoadedVersion) -> None:
    """The graph's tensors are those that the metadata promises."""
    wanted_inputs = {OBSERVATIONS: loaded.observation_shape}
    inputs = {i.name: tuple(i.shape[1:]) for i in loaded.session.get_inputs() if i.type == "tensor(float)"}
    outputs = {o.name: tuple(o.shape[1:]) for o in loaded.session.get_outputs() if o.type == "tensor(float)"}
    if inputs != wanted_inputs:
        raise CorruptArtifact(f"{_name(loaded)}: inputs are {inputs}, its metadata wants {wanted_inputs}")
    for output, wanted in loaded.tensors.items():
        if outputs.get(output) != wanted:
            message = f"{_name(loaded)}: output {output} is {outputs.get(output)}, wanted {wanted}"
            raise CorruptArtifact(message)


def _name(version: PublishedVersion | LoadedVersion) -> str:
    return f"{version.policy} version {version.version}"
