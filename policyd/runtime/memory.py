"""How much memory a process takes. Linux; elsewhere nothing is known."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from functools import cache
from pathlib import Path

_KIB = 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # from malloc.h
# pages of mapped files are not counted: processes share them, and the kernel can drop them
_OWN = ("RssAnon:", "RssShmem:")


def own_bytes(pid: int | str = "self") -> int:
    """Returns the resident bytes that only this process uses, as a container's limit counts them.

    0: not known.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(_KIB * int(line.split()[1]) for line in lines if line.startswith(_OWN))


def peak_bytes() -> int:
    """Returns the most bytes that this process has ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def forget_peak() -> bool:
    """Restarts the measurement of the peak. False: the kernel does not support it."""
    give_back()  # free blocks of the heap would hide what is allocated next
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def bound_heap() -> None:
    """Makes glibc give large blocks back to the kernel at once, and keep few heaps.

    The blocks that an inference call uses stay in the heap. If they were given back after each
    call, the next call would wait for the kernel to clear as many pages.
    """
    with suppress(OSError, AttributeError):
        mallopt = _c_library().mallopt
        mallopt(_M_MMAP_THRESHOLD, 8 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 16 * 2**20)
        mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Gives the heap's free blocks back to the kernel, for example after a version was released."""
    with suppress(OSError, AttributeError):
        _c_library().malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
