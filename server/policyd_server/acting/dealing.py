"""Plain requests for an alias that several versions share: which version answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from policy_api.v1.policy_pb2 import ActRequest, Decision
from policyd_server import compiled
from policyd_server.acting.wire import read_varint
from policyd_server.models.splits import Split
from policyd_server.models.version import LoadedVersion

if compiled.AVAILABLE:
    from policyd_server.compiled.dealt import Dealt as CompiledDealt

# Seed, first row and `deterministic` are varints. A name of 64 characters may need 128 bytes or
# more, and then its length has two bytes. Protobuf reads such requests.
_NUMBERS = frozenset(
    ActRequest.DESCRIPTOR.fields_by_name[name].number << 3 for name in ("seed", "first_row", "deterministic")
)
_DECISIONS = ActRequest.DESCRIPTOR.fields_by_name["decisions"].number << 3 | 2
_EPISODE = Decision.DESCRIPTOR.fields_by_name["episode_id"].number << 3 | 2

Meant = TypeVar("Meant")
Meant_co = TypeVar("Meant_co", covariant=True)


class Dealt(Protocol[Meant_co]):
    """Requests that begin with the same bytes. Each is then given to one of several versions."""

    def pick(self, payload: bytes) -> Meant_co | None:
        """Returns the request for the version that its key, or chance, chooses.

        None: protobuf must read it.
        """


def dealt(behind: int, split: Split, meant: Mapping[LoadedVersion, Meant | None]) -> Dealt[Meant]:
    """Returns what gives such requests to versions.

    `behind`: where their observations end. `meant`: the plain request for each version.
    """
    return (CompiledDealt if compiled.AVAILABLE else PlainDealt)(behind, split, meant)


class PlainDealt(Dealt[Meant]):
    """The same in Python, for servers without compiled code."""

    def __init__(self, behind: int, split: Split, meant: Mapping[LoadedVersion, Meant | None]) -> None:
        self._behind, self._split, self._meant = behind, split, meant

    def pick(self, payload: bytes) -> Meant | None:
        """As `Dealt` says."""
        key = key_behind(payload, self._behind)
        return None if key is None else self._meant[self._split.pick(key)]


def key_behind(payload: bytes, at: int) -> str | None:
    """Returns `key_of` the request, read from the bytes after the observations.

    None: protobuf must read it.
    """
    episode = None
    if at > len(payload):
        return None
    while at < len(payload):
        tag = payload[at]
        size, at = read_varint(payload, at + 1)
        if tag in _NUMBERS and size >= 0:
            continue
        if tag != _DECISIONS or not 0 <= size <= len(payload) - at:
            return None
        if episode is None:
            decision = payload[at : at + size]
            if size < 2 or decision[0] != _EPISODE or not decision[1] <= min(0x7F, size - 2):
                return None
            episode = decision[2 : 2 + decision[1]]
        at += size
    return _text(episode or b"")


def _text(key: bytes) -> str | None:
    """Returns the key as text. None: it is not ASCII, so protobuf must check that it is UTF-8."""
    return key.decode() if key.isascii() else None
