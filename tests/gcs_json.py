"""Google Cloud Storage's JSON API, as an emulator of it has it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

BUCKETS = "/storage/v1/b"
NOTHING: Mapping[str, str] = {}


class Answer(NamedTuple):
    """A response."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = NOTHING

    @property
    def resource(self) -> dict[str, Any]:
        """The JSON in it."""
        parsed: dict[str, Any] = json.loads(self.content)
        return parsed


class Emulator:
    """Sends requests to it."""

    def __init__(self, url: str) -> None:
        """`url`: such as http://127.0.0.1:9000."""
        self._where = urlsplit(url).netloc

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = NOTHING,
        body: bytes = b"",
        headers: Mapping[str, str] = NOTHING,
    ) -> Answer:
        """Sends one request and returns its response."""
        connection = http.client.HTTPConnection(self._where, timeout=60)
        try:
            connection.request(method, f"{path}?{urlencode(query)}", body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def make_bucket(self, name: str) -> None:
        """Creates a bucket."""
        body = json.dumps({"name": name}).encode()
        made = self.send("POST", BUCKETS, {"project": "test"}, body, {"Content-Type": "application/json"})
        if made.status != HTTPStatus.OK:
            raise RuntimeError(f"no bucket: {made.status} {made.content[:500]!r}")
