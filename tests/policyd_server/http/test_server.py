"""uvicorn without its clock."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pytest

from tests.policyd_server.http.conftest import Client


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v1/policies", "/page"])
def test_a_response_tells_the_time(client: Client, path: str) -> None:
    """The header `date` has the second of the response, not of the start or of another response."""
    before = int(time.time())
    told = parsedate_to_datetime(client.get(path).headers["date"]).timestamp()
    assert before <= told <= time.time()
