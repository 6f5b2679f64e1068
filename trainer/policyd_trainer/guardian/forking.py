"""The process that imports once, and forks for each child that may end without harm to this one."""

from __future__ import annotations

import functools
import multiprocessing
import os
import tempfile
from multiprocessing import forkserver, util
from multiprocessing.context import ForkServerContext

#: That process listens on a Unix socket, whose path has at most 107 bytes. multiprocessing adds 32
#: of them, "/pymp-xxxxxxxx/listener-xxxxxxxx", to the folder for temporary files.
_LONGEST = 107 - 32
_SHORT = "/tmp"  # noqa: S108 -- multiprocessing makes a folder there that only this user can enter


def context(*preload: str) -> ForkServerContext:
    """Returns the context of that process, which imports the modules `preload` once it starts."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(list(preload))
    return made


def ensure_running() -> None:
    """Starts that process if it does not run. It imports while this process goes on."""
    _choose_folder()
    forkserver.ensure_running()


@functools.cache
def _choose_folder() -> None:
    """Makes multiprocessing's own folder, below /tmp if the usual place has a long path."""
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) > _LONGEST:
        tempfile.tempdir = _SHORT
        try:
            util.get_temp_dir()
        finally:
            tempfile.tempdir = usual
