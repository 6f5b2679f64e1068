"""From an artifact's description to the head that answers for it."""

from __future__ import annotations

import numpy as np

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd.errors import Unimplemented
from policyd_server.heads.bernoulli import BernoulliHead
from policyd_server.heads.categorical import CategoricalHead
from policyd_server.heads.gaussian import GaussianHead
from policyd_server.heads.interface import Head
from policyd_server.heads.multi_categorical import MultiCategoricalHead


def head_for(metadata: PolicyMetadata) -> Head:
    """Returns the head for a policy's distribution.

    Raises Unimplemented for a kind that this release does not know.
    """
    distribution = metadata.distribution
    kind = distribution.WhichOneof("kind")
    if kind == "categorical":
        return CategoricalHead(int(distribution.categorical.n))
    if kind == "multi_categorical":
        return MultiCategoricalHead(tuple(map(int, distribution.multi_categorical.nvec)))
    if kind == "bernoulli":
        return BernoulliHead(int(distribution.bernoulli.n))
    if kind == "gaussian":
        dtype = np.dtype(metadata.action_space.box.dtype or "float32")
        return GaussianHead.of(distribution.gaussian, integral=bool(np.issubdtype(dtype, np.integer)))
    raise Unimplemented(f"{metadata.policy}: its distribution is of a kind that this release does not know")
