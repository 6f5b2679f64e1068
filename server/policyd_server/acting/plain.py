"""Plain requests: raw observations and no option that changes the probabilities.

They are the most common requests, so they are read without protobuf. A client's requests begin with
the same bytes, up to the numbers: names, then tags and lengths. A request that protobuf has read
once is recognised by these bytes later. Every other request is read by protobuf.
"""

from __future__ import annotations

from bisect import insort
from typing import Any, NamedTuple

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest
from policyd_server.acting.dealing import Dealt, dealt
from policyd_server.acting.wire import varint
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.version import LoadedVersion

# Policy, version and alias as a request names them.
Names = tuple[str, int | None, str]

# How many different headers, and how many different lengths of them, are remembered.
MAX_HEADERS, MAX_LENGTHS = 256, 8

_OBSERVATIONS = bytes([ActRequest.DESCRIPTOR.fields_by_name["observations"].number << 3 | 2])
# What a request with pixels begins with after its names.
_AFTER_NAMES = frozenset(
    (ActRequest.DESCRIPTOR.fields_by_name[name].number << 3 | kind) & 0x7F | more
    for name, kind, more in (("seed", 0, 0), ("first_row", 0, 0), ("typed_observations", 2, 0x80))
)
# The most bytes between the names and the pixels: a seed, a first_row, and the pixels' own tag and
# length.
_MAX_BEFORE_PIXELS = 32
_RAW = b"\x0a"  # of FloatArray


class Plain(NamedTuple):
    """A request that was recognised by its header bytes.

    The bytes after the observations have not been parsed yet.
    """

    model: LoadedVersion
    start: int  # where the observations [rows, *shape] begin in the serialised ActRequest
    rows: int  # at most as many as one inference call takes
    # Where seed and first_row begin: after float32 observations, but before pixels (uint8).
    numbers: int

    def floats(self, payload: bytes) -> bytes:
        """Returns the observations as float32."""
        if self.numbers >= self.start:
            return payload[self.start : self.numbers]
        return np.frombuffer(payload, np.uint8, offset=self.start).astype(np.float32).tobytes()


class _Header(NamedTuple):
    names: Names
    size: int  # bytes of the observations that follow; 0: pixels, with any number of rows


class PlainReader:
    """Recognises plain requests for versions in memory."""

    def __init__(self, loaded_versions: LoadedVersions, max_rows: int) -> None:
        """`max_rows`: of one request."""
        self._loaded_versions = loaded_versions
        self._max_rows = max_rows
        self._headers: dict[bytes, _Header] = {}
        self._lengths: list[int] = []

    @property
    def known(self) -> tuple[dict[bytes, Any], dict[bytes, _Header], list[int]]:
        """The requests by their first bytes, the headers by their bytes, and the headers' lengths.

        The longest length is the first. They may be replaced at any time.
        """
        return self._loaded_versions.found, self._headers, self._lengths

    def pixels(self, payload: bytes | memoryview, names: int, header: _Header) -> Plain | None:
        """Returns a request that begins with a header of pixels, whose names end at `names`.

        None: `read` has to decide.
        """
        return self._pixels(payload, names, self._loaded_versions.only(*header.names))

    def read(self, payload: bytes) -> Plain | None:
        """Returns the plain request for the version that it names.

        None: protobuf has to read it.
        """
        found = self._loaded_versions.found
        for length in self._lengths:
            begin = payload[:length]
            known: Plain | Dealt[Plain] | None = found.get(begin)
            if known is not None:
                return known if isinstance(known, Plain) else known.pick(payload)
            header = self._headers.get(begin)
            if header is None:
                continue
            if header.size:
                return self._floats(payload, begin, header)
            if (plain := self.pixels(payload, length, header)) is not None:
                return plain
        return None

    def read_for(self, payload: bytes, model: LoadedVersion) -> Plain | None:
        """Returns the plain request if it names the version of `model`, or no version.

        None: protobuf has to read it.
        """
        for length in self._lengths:
            header = self._headers.get(payload[:length])
            if header is not None:
                policy, version, _ = header.names
                if policy not in ("", model.policy) or version not in (None, model.version):
                    return None
                if header.size:
                    return self._meant(header, length, model)
                if (plain := self._pixels(payload, length, model)) is not None:
                    return plain
        return None

    def remember(self, payload: bytes, request: ActRequest) -> bool:
        """Remembers the header of this request, so that the next one like it is recognised.

        Returns False if the header was known, or if this client writes it in an unusual way.
        """
        raw, pixels = request.observations.raw, request.typed_observations
        header = _names(request) if pixels else _header_of(request, len(raw))
        if not (raw or pixels) or not payload.startswith(header) or header in self._headers:
            return False
        if len(self._headers) == MAX_HEADERS or len(self._lengths) == MAX_LENGTHS:
            self._headers, self._lengths = {}, []
            self._loaded_versions.found.clear()
        self._headers[header] = _Header(names_of(request), len(raw))
        if len(header) not in self._lengths:
            # the longest first, because it is the most specific
            insort(self._lengths, len(header), key=int.__neg__)
        return True

    def _floats(self, payload: bytes, begin: bytes, header: _Header) -> Plain | None:
        """Returns a request whose float32 observations follow its header."""
        # read once: a swap after this replaces the table
        start, found = len(begin), self._loaded_versions.found
        if (split := self._loaded_versions.split(*header.names)) is not None:
            versions = (split.base, *(loaded for _, loaded in split.shares))
            meant = {loaded: self._meant(header, start, loaded) for loaded in versions}
            shared = found[begin] = dealt(start + header.size, split, meant)
            return shared.pick(payload)
        plain = found[begin] = self._meant(header, start, self._loaded_versions.at_hand(*header.names))
        return plain

    def _pixels(self, payload: bytes | memoryview, names: int, model: LoadedVersion | None) -> Plain | None:
        """Returns a request whose observations are its last bytes. Does not read those before."""
        if model is None or not model.pixels or names >= len(payload) or payload[names] not in _AFTER_NAMES:
            return None
        rows, rest = divmod(len(payload) - names, model.pixels)
        if not 0 < rows <= min(model.plain_rows, self._max_rows) or rest > _MAX_BEFORE_PIXELS:
            return None
        return Plain(model, len(payload) - rows * model.pixels, rows, names)

    def _meant(self, header: _Header, start: int, model: LoadedVersion | None) -> Plain | None:
        if model is None:
            return None
        rows, rest = divmod(header.size, model.observation_bytes)
        if rest or rows > model.plain_rows or rows > self._max_rows:
            return None
        return Plain(model, start, rows, start + header.size)


def names_of(request: ActRequest) -> Names:
    """Policy, version and alias as the request names them."""
    return request.policy, request.version if request.HasField("version") else None, request.alias


def key_of(request: ActRequest) -> str:
    """Returns the key that keeps a client at one version of a shared alias.

    Empty: each request is given to a version on its own.
    """
    if request.traffic_key or not request.decisions:
        return request.traffic_key
    return request.decisions[0].episode_id


def _header_of(request: ActRequest, size: int) -> bytes:
    """Returns how protobuf writes the names of a request, and what precedes raw observations."""
    inner = _RAW + varint(size)
    return _names(request) + _OBSERVATIONS + varint(len(inner) + size) + inner


def _names(request: ActRequest) -> bytes:
    """Returns how protobuf writes the names of a request."""
    names = ActRequest(policy=request.policy)
    if request.HasField("version"):
        names.version = request.version
    elif request.HasField("alias"):
        names.alias = request.alias
    return names.SerializeToString()
