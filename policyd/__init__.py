"""The Python client of policyd, and what its two services share.

from policyd import PolicyClient

with PolicyClient("127.0.0.1:50051") as client:
    chosen = client.act([[0.0, 0.1, 0.0, -0.1]], policy="cartpole")
    print(chosen.actions[0], chosen.action_probs[0], chosen.version)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from policyd.errors import (
    AlreadyExists,
    Conflict,
    CorruptArtifact,
    DeadlineExceeded,
    Exhausted,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PolicydError,
    Retryable,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    UnsupportedSpace,
    UnusableOutput,
)
from policyd.version import __version__

if TYPE_CHECKING:
    from policy_api.v1.training_pb2 import JobLimits, Promotion, TrainingJob, TrainingSpec
    from policyd.client.acting import Actions, ActOptions
    from policyd.client.async_client import AsyncPolicyClient
    from policyd.client.client import PolicyClient
    from policyd.client.credentials import Credentials
    from policyd.client.episodes import AsyncEpisode, Episode
    from policyd.client.streaming import ActStream, AsyncActStream

__all__ = [
    "ActOptions",
    "ActStream",
    "Actions",
    "AlreadyExists",
    "AsyncActStream",
    "AsyncEpisode",
    "AsyncPolicyClient",
    "Conflict",
    "CorruptArtifact",
    "Credentials",
    "DeadlineExceeded",
    "Episode",
    "Exhausted",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "JobLimits",
    "NotFound",
    "PermissionDenied",
    "PolicyClient",
    "PolicydError",
    "Promotion",
    "Retryable",
    "TrainingJob",
    "TrainingSpec",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UnsupportedSpace",
    "UnusableOutput",
    "__version__",
]

# Names whose modules import numpy, grpc or protobuf. They are imported when first used, so that
# errors, the version and the commands' help need none of these.
_LAZY = {
    "ActOptions": "policyd.client.acting",
    "ActStream": "policyd.client.streaming",
    "Actions": "policyd.client.acting",
    "AsyncActStream": "policyd.client.streaming",
    "AsyncEpisode": "policyd.client.episodes",
    "AsyncPolicyClient": "policyd.client.async_client",
    "Credentials": "policyd.client.credentials",
    "Episode": "policyd.client.episodes",
    "JobLimits": "policy_api.v1.training_pb2",
    "PolicyClient": "policyd.client.client",
    "Promotion": "policy_api.v1.training_pb2",
    "TrainingJob": "policy_api.v1.training_pb2",
    "TrainingSpec": "policy_api.v1.training_pb2",
}


def __getattr__(name: str) -> Any:
    """Imports a lazy name when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'policyd' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    """Returns all public names, for completion in a shell."""
    return sorted({*globals(), *_LAZY})
