"""The Unix socket on which a worker's grpc.aio serves other processes of its own server.

Only the server's own user reaches the folder. So what comes there is believed about whom it relays:
the front behind its connections, and the HTTP process (`policyd_server.http`).
"""

from __future__ import annotations

import os
from pathlib import Path

#: Tells workers the folder of these sockets; set where an HTTP process calls them.
VARIABLE = "POLICYD_PRIVATE_SOCKETS"
SUFFIX = ".sock"
_FRONT = ".front"  # of the socket beside it, on which the worker's front serves


def of_this_process() -> Path | None:
    """Where this process serves; None: nobody calls it there."""
    folder = os.environ.get(VARIABLE)
    return None if folder is None else Path(folder) / f"{os.getpid()}{SUFFIX}"


def front_of(path: Path) -> Path:
    """Where the front of the same worker answers hot methods. It is told nothing about callers."""
    return path.with_suffix(_FRONT)


def everyone(folder: Path) -> set[Path]:
    """The sockets of the workers that live."""
    return {path for path in folder.glob(f"*{SUFFIX}") if Path(f"/proc/{path.stem}").exists()}
