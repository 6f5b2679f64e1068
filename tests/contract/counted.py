"""`python counted.py FLAG ...`: a server without collections, which counts objects at SIGUSR2.

It writes the count to the file that the variable COUNTED names.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys
from pathlib import Path


def count(*_: object) -> None:
    """Writes how many objects only the garbage collector could free, or how many are in use."""
    with Path(os.environ["COUNTED"]).open("w") as file:
        file.write(str(len(gc.get_objects())))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, count)
    gc.disable()
    sys.argv[0] = "policyd_server"
    runpy.run_module("policyd_server", run_name="__main__")
