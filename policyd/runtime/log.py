"""Logs of long-running processes: one JSON object per line, or text for people.

No log holds an observation or a token: nothing logs a request or its metadata.

The audit log is the logger `policyd.audit`: who trained, promoted and rolled back, and how it
ended.
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

from policyd.errors import Internal
from policyd.quoting import shown
from policyd.runtime.log_limit import LogLimit, and_others

# The id of the current call. It is part of the call's log lines and of its response.
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

AUDIT = logging.getLogger("policyd.audit")

# The largest numbers of characters of one message and of one traceback.
MAX_MESSAGE = 8192
MAX_TRACEBACK = 32_768
# For tracebacks of one kind: this many per window, and the window's length in seconds.
TRACEBACKS_LOGGED, TRACEBACK_WINDOW = 5, 60.0

_limit = LogLimit(TRACEBACKS_LOGGED, TRACEBACK_WINDOW)

# The beginnings of grpc.aio's tracebacks about a client that hung up during a write, or that sent a
# header or a path that is no UTF-8. Anybody can send those, without a token, and fill the log.
_OF_CLIENTS = (
    "ExecuteBatchError raised in core by servicer method",
    "Invalid encoding on b",
    "Unexpected [UnicodeDecodeError] raised by servicer method",
)

FORMATS = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def new_request_id() -> str:
    """Returns a new id, for a call that came without one."""
    return uuid.uuid4().hex[:16]


def unexpected(logger: logging.Logger, what: str, error: BaseException) -> Internal:
    """Logs an unexpected error with its traceback. Returns the error that the client gets.

    If many equal errors come, only some are logged, with the number of those left out.
    """
    call = request_id.get() or new_request_id()
    left_out = _limit.passes((what, type(error)))
    if left_out is None:
        return Internal(f"internal error; the server's log has an earlier one like it (request id {call})")
    outside = request_id.set(call)
    logger.error("%s%s", what, and_others(left_out), exc_info=error)
    request_id.reset(outside)
    return Internal(f"internal error; the server's log has the details under request id {call}")


class TextFormatter(logging.Formatter):
    """Formats a record as one line of text. Only a traceback has further lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without a line end."""
        said = logging.makeLogRecord({**vars(record), "msg": _message(record), "args": None})
        said.exc_text = None  # the formatter of another handler may have set it
        return super().format(said)

    def formatException(self, ei: Any) -> str:  # noqa: N802 -- logging's name
        """Returns the traceback, indented, so that no line of it looks like a log line."""
        return "    " + super().formatException(ei)[-MAX_TRACEBACK:].replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    The values of `extra={"fields": {...}}` are added beside the message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without a line end."""
        milliseconds = int(record.created * 1000) % 1000
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{milliseconds:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage()[:MAX_MESSAGE],
        }
        if call := request_id.get():
            line["request_id"] = call
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-MAX_TRACEBACK:]
        return json.dumps(line, default=str)


def _message(record: logging.LogRecord) -> str:
    return shown(record.getMessage(), MAX_MESSAGE)


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the option `--log-format` to a click command, with its environment variable."""
    return click.option(
        "--log-format",
        envvar="POLICYD_LOG_FORMAT",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="Log lines for people, or one JSON object per line.",
    )(command)


def configure(form: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends all logs of this process to `stream` (default: stderr). `form` is one of FORMATS."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_fault_of_a_client)


def _is_no_fault_of_a_client(record: logging.LogRecord) -> bool:
    """Returns False for grpc.aio's tracebacks about what a client did."""
    return not record.getMessage().startswith(_OF_CLIENTS)
