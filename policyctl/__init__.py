"""The command line and the Python client library.

from policyctl import PolicyClient

with PolicyClient("127.0.0.1:50051") as client:
    answer = client.act([[0.0, 0.1, 0.0, -0.1]], policy="cartpole")
    print(answer.actions[0], answer.action_probs[0], answer.version)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policyctl.acting import Actions
    from policyctl.aio import AsyncPolicyClient
    from policyctl.client import PolicyClient
    from policyctl.streaming import ActStream, AsyncActStream

__all__ = ["ActStream", "Actions", "AsyncActStream", "AsyncPolicyClient", "PolicyClient"]

_MODULES = {
    "ActStream": "streaming",
    "Actions": "acting",
    "AsyncActStream": "streaming",
    "AsyncPolicyClient": "aio",
    "PolicyClient": "client",
}


def __getattr__(name: str) -> Any:
    """A name of the library, imported when it is asked for: the command line needs none to begin."""
    if name not in _MODULES:
        raise AttributeError(f"module 'policyctl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"policyctl.{_MODULES[name]}"), name)
