"""The Unix socket on which a worker's grpc.aio serves other processes of its own server.

Only the server's own user can reach the folder. So calls on this socket are trusted to say for whom
they are relayed. They come from the front and from the HTTP process (`policyd_server.http`).
"""

from __future__ import annotations

import os
from pathlib import Path

#: The variable that tells workers the folder of these sockets. Set if an HTTP process calls them.
VARIABLE = "POLICYD_PRIVATE_SOCKETS"
SUFFIX = ".sock"
_FRONT = ".front"  # suffix of the socket beside it, on which the worker's front serves


def of_this_process() -> Path | None:
    """Returns the path on which this process serves. None: no process calls it there."""
    folder = os.environ.get(VARIABLE)
    return None if folder is None else Path(folder) / f"{os.getpid()}{SUFFIX}"


def front_of(path: Path) -> Path:
    """Returns the socket on which the same worker's front answers hot methods.

    The front is not told for whom a call is relayed.
    """
    return path.with_suffix(_FRONT)


def everyone(folder: Path) -> set[Path]:
    """Returns the sockets of the workers that are running."""
    return {path for path in folder.glob(f"*{SUFFIX}") if Path(f"/proc/{path.stem}").exists()}
