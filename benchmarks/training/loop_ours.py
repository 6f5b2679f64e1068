"""The loop's speed in a checkout of policyd, also in one from before its packages were renamed.

Run by `loop` as a file, in that checkout and by its interpreter.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time

PACKAGE = "policyd_trainer" if importlib.util.find_spec("policyd_trainer") else "trainer"


def main() -> None:
    """Prints environment steps, processor seconds and seconds, all without the first twentieth."""
    env_id, steps, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    start, config, make = (
        importlib.import_module(f"{PACKAGE}.{name}")
        for name in ("algorithms.start", "config", "environments.make")
    )
    wanted = config.resolve_config(
        "benchmark", env_id, "a2c", 2001, {"total_timesteps": str(steps), **settings}
    )
    loop = start.start(wanted, make.inspect(wanted))
    before: tuple[int, float, float] | None = None
    for _ in loop.run():
        if before is None and loop.counters.env_steps >= steps / 20:
            before = loop.counters.env_steps, time.process_time(), time.perf_counter()
    after = loop.counters.env_steps, time.process_time(), time.perf_counter()
    assert before is not None, "the run goes beyond its first twentieth"
    print(json.dumps([now - then for now, then in zip(after, before, strict=True)]))
    loop.collector.close()


if __name__ == "__main__":
    main()
