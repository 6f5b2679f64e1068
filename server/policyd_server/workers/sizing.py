"""How many workers fit into the memory, computed from one that has loaded all policies."""

from __future__ import annotations

from policyd.runtime.memory import own_bytes

MIB = 2**20
# The part of a container's memory for the supervisor itself, the metrics' files and the kernel.
MARGIN_BYTES = 64 * MIB
# During a promotion, two versions of a policy are in memory. Requests need some memory too.
GROWTH = 1.25
REQUEST_BYTES = 32 * MIB
# If a server's processes take more than this part of the limit, it gives up a worker.
HIGHEST_SHARE = 0.95
HTTP_BYTES = 96 * MIB  # of the HTTP process, where there is one


def fitting(cpus: int, limit: int | None, worker: int, beside: int = 0) -> int:
    """Returns how many workers fit, at least 1. One of them takes `worker` bytes.

    `beside`: bytes that other processes of the server take.
    """
    if limit is None or not worker:
        return cpus
    return max(1, min(cpus, int((limit - MARGIN_BYTES - beside) // (GROWTH * worker + REQUEST_BYTES))))


def too_large(limit: int | None, pids: list[int], beside: int = 0) -> bool:
    """Whether this process and `pids` take more of the limit than they should."""
    if limit is None:
        return False
    return beside + own_bytes() + sum(map(own_bytes, pids)) > HIGHEST_SHARE * limit
