"""Everything that is found in a policy, including damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from policyd.errors import CorruptArtifact
from policyd.repository.records import AliasState

_T = TypeVar("_T")


@dataclass(frozen=True)
class Inspection:
    """What was found in a policy."""

    aliases: AliasState | None  # None: damaged
    versions: list[int]  # ascending
    damage: tuple[str, ...] = ()  # one line for each part that cannot be read
    notes: tuple[str, ...] = ()  # one line for each entry that looks like a version but is not one


def attempt(read: Callable[[], _T], damage: list[str]) -> _T | None:
    """Returns the result of `read`. If it is damaged, returns None and adds a line to `damage`."""
    try:
        return read()
    except CorruptArtifact as error:
        if error.message not in damage:
            damage.append(error.message)
        return None
