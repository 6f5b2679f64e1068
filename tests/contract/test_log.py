"""Logs: one JSON object a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from policy_api import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the JSON log of this test goes."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    log.configure("json", stream=stream)
    yield stream
    root.handlers[:], root.level = before


def test_a_record_is_one_line_with_fields_and_request_id(lines: io.StringIO) -> None:
    """Fields stand beside the message, line breaks stay inside the JSON."""
    token = log.request_id.set("r-1")
    logging.getLogger("policyd.audit").info("two\nlines", extra={"fields": {"caller": "ci"}})
    log.request_id.reset(token)
    [line] = lines.getvalue().splitlines()
    record = json.loads(line)
    assert record["message"] == "two\nlines"
    assert (record["level"], record["logger"]) == ("INFO", "policyd.audit")
    assert (record["caller"], record["request_id"]) == ("ci", "r-1")


def test_an_exception_keeps_its_traceback(lines: io.StringIO) -> None:
    """As one field of the same line."""
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    [line] = lines.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["exception"]
