"""What one look at a policy finds, damage included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from policyd.errors import CorruptArtifact
from policyd.repository.records import AliasState

_T = TypeVar("_T")


@dataclass(frozen=True)
class Inspection:
    """What one look at a policy found."""

    aliases: AliasState | None  # None: damaged
    versions: list[int]  # ascending
    damage: tuple[str, ...] = ()  # what cannot be read, a line each
    notes: tuple[str, ...] = ()  # what is no version but looks as if it should be one


def attempt(read: Callable[[], _T], damage: list[str]) -> _T | None:
    """What `read` gives; None: it is damaged, which `damage` says then, once."""
    try:
        return read()
    except CorruptArtifact as error:
        if error.message not in damage:
            damage.append(error.message)
        return None
