"""Ports for servers that come back at the same place after they were stopped."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """Ports that no other process gets by chance: they are below the range of those."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if port in found:
            continue
        with socket.socket() as free, suppress(OSError):
            free.bind(("", port))
            found.append(port)
    return found
