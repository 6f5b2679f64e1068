"""How many workers fit, from what one takes with the repository's policies in memory."""

from __future__ import annotations

from policyd.runtime.memory import own_bytes

MIB = 2**20
# For what the supervisor itself, metrics' files and the kernel take of a container.
MARGIN_BYTES = 64 * MIB
# A promotion has two versions of a policy in memory; requests take some as well.
GROWTH = 1.25
REQUEST_BYTES = 32 * MIB
# A server whose processes take more of the limit than this gives a worker up.
HIGHEST_SHARE = 0.95
HTTP_BYTES = 96 * MIB  # of the HTTP process, where there is one


def fitting(cpus: int, limit: int | None, worker: int, beside: int = 0) -> int:
    """Workers for so many CPUs and a memory limit, where one takes `worker` bytes. At least 1.

    `beside`: bytes that other processes of the server take.
    """
    if limit is None or not worker:
        return cpus
    return max(1, min(cpus, int((limit - MARGIN_BYTES - beside) // (GROWTH * worker + REQUEST_BYTES))))


def too_large(limit: int | None, pids: list[int], beside: int = 0) -> bool:
    """Whether this process and those take more of the limit than they should."""
    if limit is None:
        return False
    return beside + own_bytes() + sum(map(own_bytes, pids)) > HIGHEST_SHARE * limit
