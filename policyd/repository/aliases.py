"""Aliases of one policy: how one state follows from another.

The history keeps the last `MAX_HISTORY` changes, so that the file of a policy that learns without
end stays small.

A rollback walks the history: each set puts a version on the alias's stack, each rollback takes one
off.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from policyd.errors import FailedPrecondition
from policyd.repository.records import AliasChange, AliasState

MAX_HISTORY = 2000  # changes of all aliases together


def with_set(state: AliasState, alias: str, version: int, *, actor: str, reason: str) -> AliasState:
    """Returns the state after `alias` was pointed at `version`.

    If the alias names that version already, the state is returned unchanged.
    """
    if state.aliases.get(alias) == version:
        return state
    return _changed(state, "set", alias, version, actor, reason)


def with_rollback(state: AliasState, alias: str, *, actor: str, reason: str) -> AliasState:
    """Returns the state after `alias` went back one step of its history."""
    stack = version_stack(state, alias)
    if len(stack) < 2:
        message = f"alias {alias!r} of {state.policy} has no earlier version to go back to"
        raise FailedPrecondition(message, reason="NO_EARLIER_VERSION")
    return _changed(state, "rollback", alias, stack[-2], actor, reason)


def version_stack(state: AliasState, alias: str) -> list[int]:
    """Returns the versions that rollbacks of `alias` go through; the last is the present one."""
    stack: list[int] = []
    for change in state.history_of(alias):
        if change.kind == "rollback":
            del stack[-1:]  # may be empty: the matching change may be older than the kept history
        else:
            stack.append(change.version)
    return stack


def _changed(
    state: AliasState, kind: Literal["set", "rollback"], alias: str, version: int, actor: str, reason: str
) -> AliasState:
    generation = state.generation + 1
    change = AliasChange(kind, alias, version, generation, datetime.now(UTC), actor, reason)
    aliases = MappingProxyType({**state.aliases, alias: version})
    history = (*state.history, change)[-MAX_HISTORY:]
    return replace(state, generation=generation, aliases=aliases, history=history)
