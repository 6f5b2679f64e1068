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
from typing import Any

import numpy as np

_WATCHED: tuple[Any, ...] = (
    *(builtins, io, json, logging, os, pathlib.Path, pickle, signal, socket, tempfile, threading),
    *(threading.Thread, time, weakref, np, np.random),
)
_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


def _limits() -> dict[str, tuple[int, int]]:
    return {name: resource.getrlimit(number) for name, number in _LIMITS.items()}


_CALLABLES = [
    (owner, {name: value for name, value in vars(owner).items() if callable(value)}) for owner in _WATCHED
]
_LIMITS_THEN = _limits()
_MODULES = dict(sys.modules)  # by name, before an environment is imported


def found() -> list[str]:
    """Names what is not as it was when this module was imported.

    Modules, functions, classes and limits.
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
    return modules + replaced + [name for name, limit in _limits().items() if limit != _LIMITS_THEN[name]]


def put_modules_back() -> None:
    """Has modules found again that were removed or replaced."""
    for name, module in _MODULES.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


def undo() -> None:
    """Puts modules, functions and classes back, so that the end of the run can be told."""
    put_modules_back()
    for owner, before in _CALLABLES:
        for name, value in before.items():
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)
