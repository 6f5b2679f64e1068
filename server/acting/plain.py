"""Plain requests: raw observations, sampled as the graph says. The commonest, so read without protobuf.

A client's requests begin with the same bytes, up to the numbers: names, then tags and lengths. What protobuf
has read once is recognised by these bytes. Whatever is not exactly like it is read by protobuf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.wire import MAX_VARINT, read_varint, varint
from server.models.version import LoadedVersion

# Policy, version and alias as a request names them.
Names = tuple[str, int | None, str]

# Different beginnings, and different lengths of them, that are remembered.
MAX_HEADS, MAX_LENGTHS = 256, 8

SEED, _FIRST_ROW = (ActRequest.DESCRIPTOR.fields_by_name[name].number << 3 for name in ("seed", "first_row"))
_OBSERVATIONS = bytes([ActRequest.DESCRIPTOR.fields_by_name["observations"].number << 3 | 2])
_RAW = b"\x0a"  # of FloatArray


class Plain(NamedTuple):
    """One call's worth of raw observations at most; no mask, no temperature, not `deterministic`."""

    model: LoadedVersion
    observations: bytes  # float32 [rows, *shape], not yet known to be finite
    rows: int
    seed: int | None  # None: the request names none
    first_row: int


class _Head(NamedTuple):
    names: Names
    size: int  # bytes of the observations that follow


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Where things stand in requests that begin alike and are as long; `first_row` is not among them."""

    names: Names
    start: int  # of the observations
    size: int  # bytes of the observations
    seed_bytes: int  # of the varint that ends them; 0: they name no seed

    @property
    def length(self) -> int:
        """Of a request, in bytes."""
        return self.start + self.size + (1 + self.seed_bytes if self.seed_bytes else 0)


class Meant(NamedTuple):
    """What all requests of one layout ask."""

    model: LoadedVersion
    rows: int  # of each

    @property
    def requests(self) -> int:
        """How many fit into one call."""
        assert self.model.bound is not None
        return self.model.bound.max_rows // self.rows


class PlainReader:
    """Reads plain requests for versions in memory."""

    def __init__(
        self, at_hand: Callable[[str, int | None, str], LoadedVersion | None], max_rows: int
    ) -> None:
        """`max_rows`: of one request."""
        self._at_hand = at_hand
        self._max_rows = max_rows
        self._heads: dict[bytes, _Head] = {}
        self._layouts: dict[tuple[bytes, int], Layout] = {}  # by beginning and length
        self._lengths: list[int] = []

    def read(self, payload: bytes) -> Plain | None:
        """The request in these bytes. None: only protobuf can tell."""
        for length in self._lengths:
            head = self._heads.get(payload[:length])
            if head is not None:
                break
        else:
            return None
        model = self._at_hand(*head.names)
        stop = length + head.size
        tail = _tail(payload, stop)
        if model is None or tail is None:
            return None
        rows = self._rows(model, head.size)
        return Plain(model, payload[length:stop], rows, *tail) if rows else None

    def layout(self, payload: bytes) -> Layout | None:
        """What this request shares with those that are written alike. Its end is not looked at."""
        for length in self._lengths:
            layout = self._layouts.get((payload[:length], len(payload)))
            if layout is not None:
                return layout
        return None

    def meant_by(self, layout: Layout) -> Meant | None:
        """What requests of this layout ask. None: only protobuf can tell."""
        model = self._at_hand(*layout.names)
        rows = 0 if model is None else self._rows(model, layout.size)
        return Meant(model, rows) if model is not None and rows else None

    def plain_of(self, request: ActRequest, model: LoadedVersion) -> Plain | None:
        """The same from protobuf's message. None: it is not plain."""
        observations = request.observations
        raw = observations.raw
        rows = self._rows(model, len(raw))
        if (
            not rows
            or observations.values
            or request.typed_observations
            or request.deterministic
            or request.HasField("action_mask")
            or request.HasField("temperature")
        ):
            return None
        return Plain(model, raw, rows, request.seed if request.HasField("seed") else None, request.first_row)

    def remember(self, payload: bytes, request: ActRequest) -> None:
        """Recognises the likes of a plain request from now on, if it is written as most clients write it."""
        raw = request.observations.raw
        head = _head(request, len(raw))
        if not payload.startswith(head) or head in self._heads:
            return
        if len(self._heads) == MAX_HEADS or len(self._lengths) == MAX_LENGTHS:
            self._heads, self._layouts, self._lengths = {}, {}, []
        names = names_of(request)
        self._heads[head] = _Head(names, len(raw))
        for seed_bytes in range(MAX_VARINT + 1):
            layout = Layout(names, len(head), len(raw), seed_bytes)
            self._layouts[head, layout.length] = layout
        if len(head) not in self._lengths:
            self._lengths.append(len(head))

    def _rows(self, model: LoadedVersion, size: int) -> int:
        """Rows in so many bytes of observations; 0: not one quick call's worth of them."""
        rows, rest = divmod(size, model.observation_bytes)
        if rest or model.bound is None or rows > model.bound.max_rows or rows > self._max_rows:
            return 0
        return rows


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


def _tail(payload: bytes, at: int) -> tuple[int | None, int] | None:
    """Seed and first_row from what stands behind the observations. None: there is something else."""
    seed, first_row = None, 0
    stop = len(payload)
    if at > stop:
        return None
    while at < stop:
        tag = payload[at]
        number, at = read_varint(payload, at + 1)
        if number < 0:
            return None
        if tag == SEED:
            seed = number
        elif tag == _FIRST_ROW:
            first_row = number
        else:
            return None
    return seed, first_row
