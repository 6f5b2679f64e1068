"""The format of an alias state: one JSON document per policy.

A state is validated as a whole when it is read. A damaged one is an error, never a guess.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from policyd.errors import CorruptArtifact
from policyd.repository.names import ALIAS_NAME
from policyd.repository.records import AliasChange, AliasState

FORMAT = 1
MAX_BYTES = 64 * 2**20  # of one document; each change adds about 200 bytes

_Number = Annotated[int, Field(ge=1, lt=2**63)]
_Name = Annotated[str, StringConstraints(pattern=f"^{ALIAS_NAME.pattern}$")]


class _Change(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    kind: Literal["set", "rollback"]
    alias: _Name
    version: _Number
    generation: _Number
    change_time: AwareDatetime
    actor: str
    reason: str


class _State(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    format: Literal[1]
    policy: str
    generation: Annotated[int, Field(ge=0, lt=2**63)]
    aliases: dict[_Name, _Number]
    history: list[_Change]


def encode(state: AliasState) -> bytes:
    """Returns the document's bytes."""
    history = [asdict(change) | {"change_time": change.change_time.isoformat()} for change in state.history]
    body = {"format": FORMAT, "policy": state.policy, "generation": state.generation}
    text = json.dumps(body | {"aliases": dict(state.aliases), "history": history}, indent=1)
    return text.encode()


def decode(policy: str, content: bytes | None) -> AliasState:
    """Returns the state; generation 0 if there is no document. CorruptArtifact: it is damaged."""
    if content is None:
        return AliasState(policy)
    try:
        state = _State.model_validate_json(content)
    except ValidationError as error:
        raise CorruptArtifact(f"the alias state aliases/{policy}.json is damaged: {_first(error)}") from None
    if state.policy != policy:
        message = f"the alias state aliases/{policy}.json is damaged: it is of policy {state.policy[:80]!r}"
        raise CorruptArtifact(message)
    history = tuple(AliasChange(**dict(change)) for change in state.history)
    return AliasState(policy, state.generation, MappingProxyType(state.aliases), history)


def _first(error: ValidationError) -> str:
    """Returns the first error as one line of bounded length."""
    wrong = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part)[:80] for part in wrong["loc"][:4])
    return f"{place}: {wrong['msg'][:200]}" if place else wrong["msg"][:200]
