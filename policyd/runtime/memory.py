"""How much memory a process takes. Linux; elsewhere nothing is known."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from functools import cache
from pathlib import Path

_KIB = 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_OWN = ("RssAnon:", "RssShmem:")  # files that are mapped are shared by all processes, and can be dropped


def own_bytes(pid: int | str = "self") -> int:
    """Resident bytes that only this process holds: what a container's limit counts.

    0: not known.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(_KIB * int(line.split()[1]) for line in lines if line.startswith(_OWN))


def peak_bytes() -> int:
    """The most bytes that this process has had resident at any moment."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def forget_peak() -> bool:
    """Starts the peak anew, from what is resident now. False: the kernel does not offer it."""
    give_back()  # what the heap holds for nobody would hide what is taken next
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def bound_heap() -> None:
    """Makes the C library give large blocks back at once, and keep few heaps. Where it is glibc.

    An inference call's own blocks stay: if the heap gave them back after each call, the next would
    wait for the kernel to fill as many pages with zeros.
    """
    with suppress(OSError, AttributeError):
        mallopt = _c_library().mallopt
        mallopt(_M_MMAP_THRESHOLD, 8 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 16 * 2**20)
        mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Gives the kernel what the heap holds and nobody uses, as after the end of a version."""
    with suppress(OSError, AttributeError):
        _c_library().malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
