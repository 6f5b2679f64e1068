"""Logs of long-running processes: one JSON object a line, or text for people.

Neither ever holds an observation or a token: nothing logs a request or metadata.

The audit log is the logger `policyd.audit`: who trained, promoted and rolled back, and how it ended.
"""

from __future__ import annotations

import contextvars
import json
import logging
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any, TextIO

import click

from policy_api.errors import Internal

# The id of the call that this code runs in; logs and answers carry it.
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

AUDIT = logging.getLogger("policyd.audit")

FORMATS = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def new_request_id() -> str:
    """An id for a call that brought none."""
    return uuid.uuid4().hex[:16]


def unexpected(logger: logging.Logger, what: str, error: BaseException) -> Internal:
    """Logs an error that is not of the domain, with its traceback; what the client is told: where to look."""
    call = request_id.get() or new_request_id()
    outside = request_id.set(call)
    logger.error("%s", what, exc_info=error)
    request_id.reset(outside)
    return Internal(f"internal error; the server's log has the details under request id {call}")


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what came as `extra={"fields": {...}}` stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        milliseconds = int(record.created * 1000) % 1000
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{milliseconds:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if call := request_id.get():
            line["request_id"] = call
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flag `--log-format` on a click command, with its environment variable."""
    return click.option(
        "--log-format",
        envvar="POLICYD_LOG_FORMAT",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="Lines for people, or one JSON object a line.",
    )(command)


def configure(form: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends every logger of this process to `stream` (standard error), `form` out of FORMATS."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
