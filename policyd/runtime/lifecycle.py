"""How a service's process tells that it is ready, and how it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Each of these ends a service in order. SIGHUP is one of them, because changed files are followed
#: without a signal.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FOLLOWED = "certificates and callers are read again when their files change, without a signal"

_LOG = logging.getLogger(__name__)


def stop_signal() -> asyncio.Event:
    """Returns an event that the first of STOP_SIGNALS sets. Called on the event loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(number: signal.Signals) -> None:
        if not stop.is_set():
            about = f" ({_FOLLOWED})" if number is signal.SIGHUP else ""
            _LOG.info("%s: draining, then ending%s", number.name, about)
        stop.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, note, number)
    return stop


def ignore_stop_signals() -> None:
    """Ignores further STOP_SIGNALS while the process ends.

    When the event loop closed, it restored the default handlers, and a signal would kill the
    process.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def port_file(path: Path | None, address: str) -> Iterator[None]:
    """Keeps the address that the service listens on in a file while the block runs.

    A reader of the file sees nothing or the whole address. If `path` is a named pipe, the address
    is written into it once. None: nothing is written.
    """
    if path is None or path.is_fifo():
        if path is not None:
            path.write_text(f"{address}\n")
        yield
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(f"{address}\n")
    scratch.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
