"""What the heap holds and nobody uses goes back to the kernel."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BLOCKS = """
from policyd.runtime.memory import bound_heap, give_back, own_bytes
bound_heap()
blocks = [bytearray(b"x") * 2**20 for _ in range(100)]
last = bytearray(b"x") * 2**20  # behind them: the heap's end stays where it is
del blocks
before = own_bytes()
give_back()
print((before - own_bytes()) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_free_blocks_below_one_in_use_are_given_back() -> None:
    """A process of its own gives back most of 100 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) >= 80
