"""The JAX program's speed, compiling left out. Runs in the peers' environment."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import jax

from benchmarks.training.arguments import Run
from benchmarks.training.peer_jax import CALL, STEPS, start


def main() -> None:
    """Prints environment steps, processor seconds and seconds, without the first call."""
    env_id, steps, envs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    compiled, carry = start(Run("a2c", env_id, 2001, steps, 0, 0, 0, Path()), envs)
    carry = jax.block_until_ready(compiled(carry))
    before, done = (time.process_time(), time.perf_counter()), 0
    while done < steps:
        carry = jax.block_until_ready(compiled(carry))
        done += CALL * STEPS * envs
    print(json.dumps([done, time.process_time() - before[0], time.perf_counter() - before[1]]))


if __name__ == "__main__":
    main()
