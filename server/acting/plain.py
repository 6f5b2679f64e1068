"""Plain requests: raw observations, sampled as the graph says. The commonest, so read without protobuf.

A client's requests begin with the same bytes, up to the numbers: names, then tags and lengths. What protobuf
has read once is recognised by these bytes. Whatever is not exactly like it is read by protobuf.
"""

from __future__ import annotations

from typing import NamedTuple

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.wire import varint
from server.models.catalog import Catalog
from server.models.version import LoadedVersion

# Policy, version and alias as a request names them.
Names = tuple[str, int | None, str]

# Different beginnings, and different lengths of them, that are remembered.
MAX_HEADS, MAX_LENGTHS = 256, 8

_OBSERVATIONS = bytes([ActRequest.DESCRIPTOR.fields_by_name["observations"].number << 3 | 2])
_RAW = b"\x0a"  # of FloatArray


class Plain(NamedTuple):
    """What requests that begin alike ask; what stands behind their observations is not yet looked at."""

    model: LoadedVersion
    start: int  # of the observations in a serialised ActRequest: float32 [rows, *shape]
    rows: int  # one call's worth at most


class _Head(NamedTuple):
    names: Names
    size: int  # bytes of the observations that follow


class PlainReader:
    """Recognises plain requests for versions in memory."""

    def __init__(self, catalog: Catalog, max_rows: int) -> None:
        """`max_rows`: of one request."""
        self._catalog = catalog
        self._max_rows = max_rows
        self._heads: dict[bytes, _Head] = {}
        self._lengths: list[int] = []

    def read(self, payload: bytes) -> Plain | None:
        """What this request asks of the version that it names. None: only protobuf can tell."""
        found = self._catalog.found
        for length in self._lengths:
            begin = payload[:length]
            plain: Plain | None = found.get(begin)
            if plain is not None:
                return plain
            head = self._heads.get(begin)
            if head is not None:
                plain = found[begin] = self._meant(head, length, self._catalog.at_hand(*head.names))
                return plain
        return None

    def read_for(self, payload: bytes, model: LoadedVersion) -> Plain | None:
        """What this request asks of a version, whichever it names. None: only protobuf can tell."""
        for length in self._lengths:
            head = self._heads.get(payload[:length])
            if head is not None:
                return self._meant(head, length, model)
        return None

    def remember(self, payload: bytes, request: ActRequest) -> bool:
        """Recognises the likes of this request from now on. False: it did already, or cannot.

        It can where raw observations are written as most clients write them.
        """
        raw = request.observations.raw
        head = _head(request, len(raw))
        if not raw or not payload.startswith(head) or head in self._heads:
            return False
        if len(self._heads) == MAX_HEADS or len(self._lengths) == MAX_LENGTHS:
            self._heads, self._lengths = {}, []
            self._catalog.found.clear()
        self._heads[head] = _Head(names_of(request), len(raw))
        if len(head) not in self._lengths:
            self._lengths.append(len(head))
        return True

    def _meant(self, head: _Head, start: int, model: LoadedVersion | None) -> Plain | None:
        if model is None or not model.bounds:
            return None
        rows, rest = divmod(head.size, model.observation_bytes)
        if rest or rows > model.bounds[0].max_rows or rows > self._max_rows:
            return None
        return Plain(model, start, rows)


def names_of(request: ActRequest) -> Names:
    """Policy, version and alias as the request names them."""
    return request.policy, request.version if request.HasField("version") else None, request.alias


def _head(request: ActRequest, size: int) -> bytes:
    """How protobuf writes the names of a request and what stands before its raw observations."""
    names = ActRequest(policy=request.policy)
    if request.HasField("version"):
        names.version = request.version
    elif request.HasField("alias"):
        names.alias = request.alias
    inner = _RAW + varint(size)
    return names.SerializeToString() + _OBSERVATIONS + varint(len(inner) + size) + inner
