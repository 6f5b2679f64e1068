"""Alias states on disk: one JSON file per policy, replaced as a whole under a lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from policy_api.errors import Conflict, CorruptArtifact
from repository.durable import locked, make_directory, replace_file
from repository.records import AliasChange, AliasState

FORMAT = 1


class AliasFiles:
    """The files `<directory>/<policy>.json`. Readers need no lock: a state is always whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, policy: str) -> AliasState:
        """The state on disk; generation 0 where there is none. CorruptArtifact where it cannot be read."""
        return _read(self._directory / f"{policy}.json", policy)

    def update(
        self, policy: str, change: Callable[[AliasState], AliasState], *, expected_generation: int | None
    ) -> AliasState:
        """Replaces the state by what `change` makes of it. Conflict: it is not at `expected_generation`."""
        make_directory(self._directory)
        with locked(self._directory / f".{policy}.lock"):
            before = self.read(policy)
            _check_generation(before, expected_generation)
            after = change(before)
            if after is not before:
                replace_file(self._directory / f"{policy}.json", _encode(after))
            return after


def _check_generation(state: AliasState, expected: int | None) -> None:
    if expected is not None and expected != state.generation:
        message = f"{state.policy} is at generation {state.generation}, not {expected}: read it again"
        raise Conflict(message)


def _read(path: Path, policy: str) -> AliasState:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return AliasState(policy)
    try:
        return _decode(policy, json.loads(content))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptArtifact(f"alias state {path} is damaged: {error}") from error


def _encode(state: AliasState) -> bytes:
    history = [asdict(change) | {"change_time": change.change_time.isoformat()} for change in state.history]
    body = {"format": FORMAT, "policy": state.policy, "generation": state.generation}
    text = json.dumps(body | {"aliases": dict(state.aliases), "history": history}, indent=1)
    return text.encode()


def _decode(policy: str, body: dict[str, Any]) -> AliasState:
    if body["format"] != FORMAT:
        raise ValueError(f"format {body['format']}, this release reads {FORMAT}")
    history = tuple(
        AliasChange(**entry | {"change_time": datetime.fromisoformat(entry["change_time"])})
        for entry in body["history"]
    )
    return AliasState(policy, int(body["generation"]), MappingProxyType(dict(body["aliases"])), history)
