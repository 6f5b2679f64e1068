"""Environments that change the whole process, or leave something in it."""

from __future__ import annotations

import atexit
import builtins
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .naming import Naming, Result


class Talks(Naming):
    """Prints like a JSON logger, with half lines. Leaves processes and threads that never end."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        sys.stdout.write('{"progress": {"fraction": 7}}\nwithout a line end')
        sys.stdout.flush()
        os.write(1, b'{"result": {"version": 99}}\n')
        atexit.register(lambda: os.write(1, b'\n{"event": "closed"}\n'))
        subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
        threading.Thread(target=lambda: time.sleep(1e6)).start()


class Meddles(Naming):
    """Changes settings of the whole process."""

    def __init__(self, render_mode: str | None = None) -> None:
        import torch  # noqa: PLC0415  the import takes seconds, and only this class needs it

        super().__init__(render_mode)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        np.seterr(all="raise")

    def step(self, action: Any) -> Result:
        """Closes the standard streams, changes folder and umask, and lowers the recursion limit."""
        os.chdir("/")
        os.umask(0o777)
        sys.setrecursionlimit(200)
        sys.stdout.close()
        sys.stderr.close()
        return super().step(action)


def _forget_importing() -> None:
    sys.path.clear()
    sys.meta_path.clear()


def _refuse_to_open(event: str, _: Any) -> None:
    if event == "open":
        raise RuntimeError("nothing is opened here")


class Changes(Naming):
    """Changes the process in one of these ways in a step."""

    ways: dict[str, Callable[[], Any]] = {  # noqa: RUF012  a table of the class
        "path": _forget_importing,
        "modules": sys.modules.clear,
        "descriptors": lambda: os.closerange(0, 1024),
        "hook": lambda: sys.addaudithook(_refuse_to_open),
        "files": lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        ),
        "fork": os.fork,
        "open": lambda: setattr(builtins, "open", None),
        "rng": lambda: vars(np.random).pop("default_rng", None),
    }

    def __init__(self, way: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way = way

    def step(self, action: Any) -> Result:
        """Steps in a changed process."""
        self.ways[self._way]()
        return super().step(action)
