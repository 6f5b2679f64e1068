"""Names and shapes of the tensors of an artifact's graph: float32, shapes without the batch."""

from __future__ import annotations

from policy_api.v1.artifact_pb2 import Distribution, PolicyMetadata
from policyd.errors import Unimplemented

OBSERVATIONS = "observations"
LOGITS = "action_logits"
PROBS = "action_probs"
MEAN = "action_mean"
STD = "action_std"
VALUE = "value"

Tensors = dict[str, tuple[int, ...]]  # shape by name, in the order of the graph


def distribution_tensors(distribution: Distribution) -> Tensors:
    """Returns the outputs that determine the distribution.

    Raises Unimplemented for a distribution that this release does not know.
    """
    kind = distribution.WhichOneof("kind")
    if kind == "gaussian":
        size = int(distribution.gaussian.size)
        return {MEAN: (size,), STD: (size,)}
    if kind == "categorical":
        width = int(distribution.categorical.n)
    elif kind == "multi_categorical":
        width = sum(distribution.multi_categorical.nvec)
    elif kind == "bernoulli":
        width = int(distribution.bernoulli.n)
    else:
        raise Unimplemented(f"a distribution of kind {kind} is not known to this release")
    return {LOGITS: (width,), PROBS: (width,)}


def output_tensors(metadata: PolicyMetadata) -> Tensors:
    """Returns all outputs of the graph."""
    tensors = distribution_tensors(metadata.distribution)
    return {**tensors, VALUE: ()} if metadata.has_value else tensors
