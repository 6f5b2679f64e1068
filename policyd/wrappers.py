"""Puts wrappers around an environment by their names.

Trainer and `policyctl play` use the same ones.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from policyd.errors import InvalidArgument

FIELD = "settings[wrappers]"


def wrapped(environment: Any, wrappers: Sequence[Mapping[str, Any]]) -> Any:
    """Returns the environment inside its wrappers; the first wrapper is the innermost.

    Args:
        environment: a Gymnasium environment. It is closed if a wrapper fails.
        wrappers: for each wrapper `entry_point` (`module:Class`) and `kwargs`.

    Raises:
        InvalidArgument: there is no such wrapper, or it does not take the environment or its
            arguments.
    """
    for wrapper in wrappers:
        module, _, name = wrapper["entry_point"].partition(":")
        try:
            environment = getattr(importlib.import_module(module), name)(environment, **wrapper["kwargs"])
        except Exception as error:
            environment.close()
            wanted = f"a wrapper that takes this environment ({type(error).__name__}: {error})"
            raise InvalidArgument.of(FIELD, got=wrapper["entry_point"], wanted=wanted) from error
    return environment
