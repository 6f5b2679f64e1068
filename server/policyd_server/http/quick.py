"""Recognises requests whose headers equal those of an earlier one, except for content-length.

A client sends the same head with every request. To parse it again, and to look up what it says,
costs more than the rest of a small request. A request is found here only if it came whole and
alone; everything else is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from policyd.runtime import request_ids
from policyd_server.http.endpoints import HotEndpoint

#: How many different request headers are remembered, and their greatest length in bytes.
MAX_KNOWN, MAX_HEAD_BYTES = 512, 2048
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,6})\r\n")
# Headers that differ with each request, such as its id or its trace, are not remembered. Headers
# that change how a body or a connection is read are left to the parser.
_OTHER = (request_ids.KEY, "traceparent", "content-encoding", "transfer-encoding", "expect", "upgrade")


class Known(NamedTuple):
    """What remembered request headers say."""

    endpoint: HotEndpoint
    names: Mapping[str, str]  # the names in the path
    headers: Headers
    authorization: str | None


class KnownHeaders:
    """The headers of hot requests that were parsed and allowed."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}

    def find(self, data: bytes) -> tuple[Known, bytes] | None:
        """Returns what the headers say, and the body.

        None: the data is not exactly one request with known headers.
        """
        found = _split(data)
        if found is None:
            return None
        head, body = found
        known = self._known.get(head)
        return None if known is None else (known, body)

    def learn(self, data: bytes, endpoint: HotEndpoint, scope: Scope) -> None:
        """Remembers the headers of a parsed request, of which `data` is the whole."""
        found, headers = _split(data), Headers(scope=scope)
        if found is None or any(name in headers for name in _OTHER):
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        known = Known(endpoint, scope["path_params"], headers, headers.get("authorization"))
        self._known[found[0]] = known


def _split(data: bytes) -> tuple[bytes, bytes] | None:
    """Returns the headers without the body's length, and the body. None: not one whole request."""
    end = data.find(_END, 0, MAX_HEAD_BYTES)
    length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
    start = end + len(_END)
    if length is None or len(data) - start != int(length[1]):
        return None
    return data[: length.start(1)] + data[length.end(1) : end], data[start:]
