"""What calls of many sizes leave in memory."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from policyd.repository import ModelRepository
from policyd.runtime.memory import bound_heap, own_bytes
from policyd_server.models.version import load_version
from tests.policyd_server.artifacts import metadata, model
from tests.policyd_server.compiled.needed import needs_compiler

pytestmark = [needs_compiler, pytest.mark.skipif(own_bytes() == 0, reason="the kernel does not tell it")]

SIZES = 512
ALLOWED = 8 * 2**20  # a binding takes 5 kB


def test_calls_of_many_sizes_leave_no_holes_in_the_heap(tmp_path: Path) -> None:
    """Tensors of all sizes come and go, and what a server keeps for its clients lies between them.

    The heap had grown by 20 MB and more, most of it free.
    """
    described = metadata("cartpole", (8,), 4)
    ModelRepository(tmp_path).publish("cartpole", {"model.onnx": model(described)}, metadata=described)
    # In a process of its own, because other tests leave holes, too.
    command = [sys.executable, "-m", __name__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    grown = int(done.stdout)
    assert grown < ALLOWED, f"{grown / 1e6:.1f} MB"


def grown(root: Path) -> int:
    """Returns by how many bytes this process grows."""
    bound_heap()
    version = load_version(ModelRepository(root), "cartpole", 1)
    assert version.bound is not None
    chance = random.Random(0)
    kept = [b""] * 2000
    before = own_bytes()
    for _ in range(3000):
        rows = 2 * chance.randint(1, SIZES)
        size = rows * version.observation_bytes
        assert version.bound.answers([((None, 0, rows, size), bytes(size))]) != [None]
        for _ in range(20):
            kept[chance.randrange(len(kept))] = bytes(chance.randint(520, 900))  # the heap, not Python's own
    return own_bytes() - before


if __name__ == "__main__":
    sys.stdout.write(str(grown(Path(sys.argv[1]))))
