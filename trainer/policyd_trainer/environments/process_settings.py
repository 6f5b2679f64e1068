"""Settings of the whole process that environments change: each side keeps its own.

An environment that sets torch's default type, say, computes with it; the learner does not.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from policyd_trainer.environments import meddling

_PATH, _FINDERS = tuple(sys.path), tuple(sys.meta_path)
_FILE_SIZE = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
_RECURSION_LIMIT = sys.getrecursionlimit()
_UMASK = os.umask(0)  # the umask can be read only by setting it
os.umask(_UMASK)


@contextmanager
def own_settings() -> Iterator[None]:
    """The learner's settings inside the block. Afterwards those that the environment has set."""
    _reopen_streams()
    _find_modules()
    _allow_files()
    os.umask(_UMASK)  # otherwise others may be unable to read what is published
    sys.setrecursionlimit(max(_RECURSION_LIMIT, sys.getrecursionlimit()))
    torch: Any = sys.modules.get("torch")  # not imported means that nobody has set anything
    if torch is None or not hasattr(torch, "set_default_dtype"):
        with np.errstate(all="ignore"):
            yield
        return
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    moved = device.type != "cpu"
    if moved:
        torch.set_default_device("cpu")
    try:
        with np.errstate(all="ignore"), torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        if moved:
            torch.set_default_device(device)


def _find_modules() -> None:
    """Restores the import path and the modules that an environment removed or replaced.

    The block needs both, because many modules are imported at their first use.
    """
    meddling.put_modules_back()
    sys.path += [folder for folder in _PATH if folder not in sys.path]
    sys.meta_path += [finder for finder in _FINDERS if finder not in sys.meta_path]


def _allow_files() -> None:
    """Raises a lowered limit on file sizes again, as far as the kernel allows."""
    now, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if now != _FILE_SIZE:
        wanted = _FILE_SIZE if most == resource.RLIM_INFINITY else most
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted, most))


def _reopen_streams() -> None:
    """Opens sys.stdout and sys.stderr on /dev/null if the environment closed them.

    Libraries write to both.
    """
    for name in ("stdout", "stderr"):
        if getattr(getattr(sys, name), "closed", False):
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
