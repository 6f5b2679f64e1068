"""One published version in memory.

Its ONNX Runtime session and what is needed to answer with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import onnxruntime as ort

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.policy_pb2 import ActResponse
from policyd import spaces
from policyd.errors import CorruptArtifact
from policyd.experience import CLIENTS
from policyd.repository import ModelRepository, PublishedVersion
from policyd.tensors import OBSERVATIONS, VALUE, Tensors, output_tensors
from policyd_server import compiled
from policyd_server.heads.categorical import CategoricalHead
from policyd_server.heads.chosen import head_for
from policyd_server.heads.interface import Head
from policyd_server.models.arena import emptying, use_arena
from policyd_server.models.bound import BoundRows
from policyd_server.models.warm_up import (
    MAX_BUFFER_BYTES,
    MAX_CALL_BYTES,
    MAX_CALL_ROWS,
    MIN_QUICK_ROWS,
    warm_up,
)
from policyd_server.sampling import Float32

MAX_OBSERVATION_NUMBERS = 2**22  # the largest observation of a model that is imported
MIN_PIXELS = 64

Infer = Callable[[Float32], tuple[list[Float32], Float32 | None]]  # as LoadedVersion.infer


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class LoadedVersion:
    """A version that can answer. Its session exists as long as somebody refers to it."""

    policy: str
    version: int
    digest: str  # SHA-256 of model.onnx, lower-case hexadecimal
    metadata: PolicyMetadata
    observation_shape: tuple[int, ...]  # shape of one observation
    observation_bytes: int  # bytes of one observation
    observation_parts: tuple[spaces.Leaf, ...]  # the parts of one observation
    choices: spaces.Choices | None  # columns of an observation that hold choices; None: there are none
    head: Head  # interprets the outputs
    session: ort.InferenceSession
    tensors: Tensors  # the graph's outputs: those of the head, then the value
    receipt: bytes  # how every response begins: a serialised ActResponse with policy, version and digest
    slow: bool = False  # its inference calls run on a separate thread
    call_rows: int = MAX_CALL_ROWS  # largest inference call, in rows
    pixels: int = 0  # bytes of one observation if requests have it as uint8 and it is large; else 0
    bound: BoundRows | None = None  # for plain requests; used only by the front's thread, or by the loop
    aside: BoundRows | None = None  # for a slow version; used only by the thread for slow calls

    @property
    def title(self) -> str:
        """The policy's title in error messages: its environment, or its name if it has none."""
        return self.policy if self.metadata.env_id in ("", CLIENTS) else self.metadata.env_id

    @property
    def plain_rows(self) -> int:
        """Rows of the largest plain request. 0: no request is plain."""
        largest = self.aside or self.bound
        return 0 if largest is None else largest.max_rows

    @property
    def has_value(self) -> bool:
        """Whether the policy has a critic."""
        return VALUE in self.tensors

    def infer(
        self, observations: Float32, options: ort.RunOptions | None = None
    ) -> tuple[list[Float32], Float32 | None]:
        """Computes the head's tensors and the values [B] for observations [B, *shape].

        The values are None if the policy has no critic.
        """
        tensors: list[Float32] = self.session.run(list(self.tensors), {OBSERVATIONS: observations}, options)
        return tensors, tensors.pop() if self.has_value else None


def load_version(repository: ModelRepository, policy: str, version: int) -> LoadedVersion:
    """Reads, verifies, loads and warms up a version.

    Raises NotFound, CorruptArtifact, or Unimplemented for a distribution that this release does not
    know.
    """
    published = repository.read(policy, version)
    loaded = _open(published, repository.read_model(policy, version))
    call_rows, quick_rows = _warm_up(loaded)
    if quick_rows >= MIN_QUICK_ROWS:
        return replace(loaded, call_rows=call_rows, bound=_bound(loaded, call_rows))
    few = _bound(loaded, quick_rows) if quick_rows else None
    aside = _bound(loaded, call_rows, MAX_CALL_BYTES)
    return replace(loaded, slow=True, call_rows=call_rows, bound=few, aside=aside)


def check_model(metadata: PolicyMetadata, model: bytes) -> None:
    """Opens an unpublished model and computes with it. CorruptArtifact, Unimplemented."""
    numbers = math.prod(spaces.row_shape(metadata.observation_space))
    if not 0 < numbers <= MAX_OBSERVATION_NUMBERS:
        message = f"an observation has {numbers} numbers, expected 1 to {MAX_OBSERVATION_NUMBERS}"
        raise CorruptArtifact(message)
    digest = hashlib.sha256(model).hexdigest()
    _warm_up(_open(PublishedVersion(metadata.policy, 0, digest, datetime.now(UTC), "", metadata, {}), model))


def _warm_up(loaded: LoadedVersion) -> tuple[int, int]:
    """Calls `warm_up`. CorruptArtifact: the outputs are wrong."""
    # A call that found memory of the one before would seem to take none.
    infer = partial(loaded.infer, options=emptying())
    return warm_up(loaded.observation_shape, infer, partial(_check_outputs, loaded, infer))


def _check_outputs(loaded: LoadedVersion, infer: Infer, observations: Float32) -> None:
    """Computes with zeros [B, *shape].

    Raises CorruptArtifact if the outputs are not those that the metadata promises.
    """
    tensors, values = infer(observations)
    shapes = [tensor.shape for tensor in (*tensors, *([] if values is None else [values]))]
    wanted = [(len(observations), *shape) for shape in loaded.tensors.values()]
    if shapes != wanted or not loaded.head.plausible(tensors):
        names = ", ".join(loaded.tensors)
        raise CorruptArtifact(f"{_name(loaded)}: for observations of zeros its outputs {names} are not valid")


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
        pixels=_pixels(parts),
        head=head,
        session=_session(model, name),
        tensors=output_tensors(metadata),
        receipt=ActResponse(
            policy=published.policy, version=published.version, digest=published.digest
        ).SerializeToString(),
    )
    _check_graph(loaded)
    return loaded


def _pixels(parts: Sequence[spaces.Leaf]) -> int:
    """Returns the bytes of an observation of only uint8. 0: other types, or too few bytes."""
    size = sum(part.size for part in parts)
    are_bytes = all(part.kind == "box" and part.dtype == np.uint8 for part in parts)
    return size if are_bytes and size >= MIN_PIXELS else 0


def _bound(loaded: LoadedVersion, max_rows: int, max_bytes: int = MAX_BUFFER_BYTES) -> BoundRows | None:
    """Returns the buffers. None: nothing is compiled, or no request of this kind is plain."""
    if not compiled.AVAILABLE or not isinstance(loaded.head, CategoricalHead) or loaded.choices is not None:
        return None
    bound = BoundRows(
        loaded.session,
        loaded.observation_shape,
        loaded.head.n,
        max_rows=min(max_rows, max(1, max_bytes // loaded.observation_bytes)),
        has_value=loaded.has_value,
        receipt=loaded.receipt,
    )
    size = loaded.observation_bytes
    bound.answers([((None, 0, 1, size), bytes(size))])
    return bound


def _session(model: bytes, name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # A call is far shorter than passing work to another thread.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    use_arena(options)
    options.log_severity_level = 4  # it would log by itself, with a node's input; errors are raised
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise CorruptArtifact(f"{name}: ONNX Runtime cannot load it: {error}") from error


def _check_graph(loaded: LoadedVersion) -> None:
    """Raises CorruptArtifact if the graph's tensors are not those that the metadata promises."""
    wanted_inputs = {OBSERVATIONS: loaded.observation_shape}
    inputs = {i.name: tuple(i.shape[1:]) for i in loaded.session.get_inputs() if i.type == "tensor(float)"}
    outputs = {o.name: tuple(o.shape[1:]) for o in loaded.session.get_outputs() if o.type == "tensor(float)"}
    if inputs != wanted_inputs:
        raise CorruptArtifact(f"{_name(loaded)}: inputs are {inputs}, its metadata wants {wanted_inputs}")
    for output, wanted in loaded.tensors.items():
        if outputs.get(output) != wanted:
            message = f"{_name(loaded)}: output {output} is {outputs.get(output)}, expected {wanted}"
            raise CorruptArtifact(message)


def _name(version: PublishedVersion | LoadedVersion) -> str:
    return f"{version.policy} version {version.version}"
