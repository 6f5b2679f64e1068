"""What an environment has replaced in the whole process, so that an error can name it.

Environments patch libraries: clocks, `open`, threads. If the run then fails in code of ours, the
mistake is the environment's. `found` compares the libraries with what they were at the start.
"""

from __future__ import annotations

import builtins
import io
import json
import logging
import os
import pathlib
import pickle
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import weakref
from inspect import ismodule
from typing import Any

import numpy as np

_WATCHED: tuple[Any, ...] = (
    *(builtins, io, json, logging, os, os.path, pathlib.Path, pickle, signal, socket, tempfile, threading),
    *(threading.Thread, time, weakref, np, np.random),
)
_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


_DESCRIPTOR = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # closed by code that closes all descriptors


def _state() -> dict[str, object]:
    """The settings that a process has only once, each by its name."""
    root = os.stat("/")  # noqa: PTH116  the real root folder, whatever the environment did to pathlib
    try:
        has_descriptor = bool(os.fstat(_DESCRIPTOR))
    except OSError:
        has_descriptor = False
    return {
        "open file descriptors": has_descriptor,
        "the user": (os.geteuid(), os.getegid()),
        "the root folder": (root.st_dev, root.st_ino),
    }


def _limits() -> dict[str, tuple[int, int]]:
    return {name: resource.getrlimit(number) for name, number in _LIMITS.items()}


_CALLABLES = [
    (owner, {name: value for name, value in vars(owner).items() if callable(value) or ismodule(value)})
    for owner in _WATCHED
]
_LIMITS_THEN = _limits()
_STATE_THEN = _state()
_MODULES = dict(sys.modules)  # name -> module, before any environment is imported


def found() -> list[str]:
    """Names what has changed in this process since this module was imported.

    It compares modules, functions, classes, limits, descriptors, user and root folder.
    """
    modules = [
        f"sys.modules[{name!r}]" for name, module in _MODULES.items() if sys.modules.get(name) is not module
    ]
    replaced = [
        f"{owner.__name__}.{name}"
        for owner, before in _CALLABLES
        for name, value in before.items()
        if vars(owner).get(name) is not value
    ]
    limits = [name for name, limit in _limits().items() if limit != _LIMITS_THEN[name]]
    state = [name for name, value in _state().items() if value != _STATE_THEN[name]]
    return [*modules, *replaced, *limits, *state]


def put_modules_back() -> None:
    """Restores modules in sys.modules that were removed or replaced."""
    for name, module in _MODULES.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


def undo() -> None:
    """Restores modules, functions and classes, so that the end of the run can be reported."""
    put_modules_back()
    for owner, before in _CALLABLES:
        for name, value in before.items():
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)
