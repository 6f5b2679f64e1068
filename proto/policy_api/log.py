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
from collections.abc import Callable
from typing import Any, TextIO

import click

# The id of the call that this code runs in; logs and answers carry it.
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

AUDIT = logging.getLogger("policyd.audit")

FORMATS = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


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
