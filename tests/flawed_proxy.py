"""An HTTP proxy in front of a store that fails in the ways in which stores fail."""

from __future__ import annotations

import http.client
import random
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler

from tests.listening import Listening

LISTINGS = ("list-type=", "comp=list")  # in the URLs of S3 and Google, and of Azure
CONDITIONS = ("if-", "x-goog-if-")  # how the names of conditional headers start
OWN_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
UNAVAILABLE = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class FlawedProxy(Listening):
    """Forwards to `port`, but `share` of the requests fail, each in one of the ways in `flaws`.

    refuse: 503 instead of a response.     lose: the request arrives, its response does not.
    half: the response ends in its middle. slow: the response comes later.
    conflict: 409 to a conditional write, as S3 responds to two at once.
    busy: 429 to a write, as Google responds to more than one a second to the same object.
    """

    def __init__(self, port: int, share: float = 0.0, flaws: tuple[str, ...] = ()) -> None:
        self.share, self.flaws = share, flaws
        self.away = False  # if True, every request fails
        self.requests: Counter[str] = Counter()  # method (or "LIST") -> count
        self._chance = random.Random(1)
        self._store = port
        super().__init__(self.answer)

    def location(self, location: str) -> str:
        """The URL of the same repository, through the proxy."""
        return location.replace(f"//127.0.0.1:{self._store}", f"//127.0.0.1:{self.port}")

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Responds to one request."""
        is_listing = any(mark in request.path for mark in LISTINGS)
        self.requests["LIST" if is_listing else request.command] += 1
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        flaw = self._chance.choice(self.flaws) if self.flaws and self._chance.random() < self.share else ""
        headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        conditional = any(name.lower().startswith(CONDITIONS) for name in headers)
        if self.away or flaw == "refuse":
            _reply(request, 503, UNAVAILABLE)
            return
        if flaw == "conflict" and conditional and request.command == "PUT":
            _reply(request, 409, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
            return
        if flaw == "busy" and request.command == "PUT":
            _reply(request, 429, b"<Error><Code>SlowDown</Code></Error>")
            return
        if flaw == "slow":
            time.sleep(0.3)  # the delay is what is tested
        connection = http.client.HTTPConnection("127.0.0.1", self._store, timeout=60)
        try:
            connection.request(request.command, request.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if flaw == "lose":
            request.close_connection = True
            return
        sent = {name: value for name, value in response.getheaders() if name.lower() not in OWN_HEADERS}
        length = response.getheader("Content-Length") if request.command == "HEAD" else str(len(content))
        half = flaw == "half" and len(content) > 1
        _reply(request, response.status, content[: len(content) // 2] if half else content, sent, length)
        request.close_connection = half


def _reply(
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    headers: dict[str, str] | None = None,
    length: str | None = None,
) -> None:
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", length or str(len(content)))
    request.end_headers()
    request.wfile.write(content)
