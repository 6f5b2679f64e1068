"""`python -P -m policyd_trainer.jobs.on_ray ADDRESS NAMESPACE`.

The process between trainer and cluster.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import IO

from policyd_trainer.guardian.tree import signal_at_death_of_parent
from policyd_trainer.jobs.on_ray.bridge import serve
from policyd_trainer.ray_errors import in_one_line
from policyd_trainer.runs.ending import own_stdout


def main() -> None:
    """Runs the bridge, and ends at once when its parent ends.

    Ray's own cleanup would end the actors, which are to go on.
    """
    signal_at_death_of_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer
    out = own_stdout()  # Ray's own output goes to standard error
    asyncio.run(_serve_and_exit(out))


async def _serve_and_exit(out: IO[str]) -> None:
    """Serves, then exits without waiting for calls that hang in threads."""
    try:
        await serve(sys.argv[1], sys.argv[2], out)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{in_one_line(error)}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
