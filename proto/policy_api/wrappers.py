"""Wrappers around an environment, by name: trainer and players put on the same ones."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from policy_api.errors import InvalidArgument

FIELD = "settings[wrappers]"


def wrapped(environment: Any, wrappers: Sequence[Mapping[str, Any]]) -> Any:
    """The environment inside each wrapper, the first one innermost.

    Args:
        environment: of Gymnasium; closed where a wrapper fails.
        wrappers: `entry_point`, as `module:Class`, and `kwargs` of each.

    Raises:
        InvalidArgument: there is no such wrapper, or it does not take the environment or its arguments.
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
