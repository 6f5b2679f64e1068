"""Logs: one JSON object a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from policyd.runtime import log
from policyd.runtime.log_limit import LogLimit


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The stream for this test's JSON log."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    log.configure("json", stream=stream)
    yield stream
    root.handlers[:], root.level = before


def test_a_record_is_one_line_with_fields_and_request_id(lines: io.StringIO) -> None:
    """Fields are beside the message, and line breaks stay inside the JSON."""
    token = log.request_id.set("r-1")
    logging.getLogger("policyd.audit").info("two\nlines", extra={"fields": {"caller": "ci"}})
    log.request_id.reset(token)
    [line] = lines.getvalue().splitlines()
    record = json.loads(line)
    assert record["message"] == "two\nlines"
    assert (record["level"], record["logger"]) == ("INFO", "policyd.audit")
    assert (record["caller"], record["request_id"]) == ("ci", "r-1")


def test_an_exception_keeps_its_traceback(lines: io.StringIO) -> None:
    """The traceback is one field of the same line."""
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    [line] = lines.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["exception"]


def test_text_for_people_has_one_line_a_record() -> None:
    """A client cannot forge a line: neither in a message nor in an exception's text."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.TextFormatter(log.TEXT))
    logger = logging.getLogger("test_text")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    forged = "no\n2026-01-01 00:00:00,000 INFO policyd.audit: caller=root"
    logger.info("reason %s", forged + "\x1b[2J" + "x" * 10**6)
    try:
        raise ValueError(forged)
    except ValueError:
        logger.exception("it failed")
    first, *others = stream.getvalue().splitlines()
    assert "\\n2026" in first
    assert "\\x1b" in first
    assert len(first) < 2 * log.MAX_MESSAGE
    assert [line for line in others if not line.startswith("    ")] == [others[0]]


def test_equal_tracebacks_are_logged_some_times_only(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client still gets an id, and the information whether the log has it."""
    monkeypatch.setattr(log, "_limit", LogLimit(2, 60.0))
    logger = logging.getLogger("x")
    told = [log.unexpected(logger, "it failed", ValueError("no")).message for _ in range(100)]
    assert len(lines.getvalue().splitlines()) == 2
    assert "has the details under request id" in told[1]
    assert "an earlier one like it" in told[2]


def test_a_client_that_hangs_up_is_no_error(lines: io.StringIO) -> None:
    """grpc.aio's traceback for a response that no client takes is left out; others stay."""
    logger = logging.getLogger("grpc._cython.cygrpc")
    logger.error("ExecuteBatchError raised in core by servicer method [/a/b]")
    logger.error("Exception in callback")
    [line] = lines.getvalue().splitlines()
    assert json.loads(line)["message"] == "Exception in callback"
