"""Odd environments that replace or break what their whole process uses, by habit."""

from __future__ import annotations

import _thread
import asyncio
import builtins
import copy
import ctypes
import faulthandler
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

Odd = Any  # the environment


def _fails(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this function is broken")


def _replace(owner: Any, name: str, value: Any = _fails) -> Callable[[Odd], None]:
    return lambda _: setattr(owner, name, value)


class Broken:
    """A stream of which every use fails."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError(f"no {name} of a broken stream")


def _break_streams(_: Odd) -> None:
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = cast("Any", Broken())  # type: ignore[misc]


def _remove_the_run(_: Odd) -> None:
    for option, value in zip(sys.argv, sys.argv[1:], strict=False):
        if option == "--run-dir":
            shutil.rmtree(value, ignore_errors=True)


def _ignore_the_watchdog(_: Odd) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    while True:
        time.sleep(1)


def _handle_the_watchdog(_: Odd) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)


def _later(do: Callable[[], Any]) -> Callable[[Odd], None]:
    """Does something at a moment when the environment is not running."""

    def begin(_: Odd) -> None:
        threading.Timer(0.01, do).start()

    return begin


def _raise_in_main(kind: type[BaseException]) -> Callable[[], Any]:
    main = ctypes.c_ulong(threading.main_thread().ident or 0)
    return lambda: ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(kind))


def _hold_the_pipe(_: Odd) -> None:
    """A daemon that keeps every descriptor of the run open."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(600)
    os._exit(0)


def _hide(_: Odd) -> None:
    ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE: /proc/PID belongs to root now


def _limit(kind: int, value: int) -> Callable[[Odd], None]:
    return lambda _: resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def _warn_loudly(_: Odd) -> None:
    warnings.showwarning = _fails
    warnings.simplefilter("always")
    warnings.warn("nobody may show this", stacklevel=1)


def _leave_a_pool(environment: Odd) -> None:
    context = multiprocessing.get_context("fork")
    environment.child = context.Process(target=time.sleep, args=(600,))
    environment.child.start()


def _wrap_descriptors(_: Odd) -> None:
    """Standard output and error become one read-only file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _run_asyncio(_: Odd) -> None:
    asyncio.run(asyncio.sleep(0))
    asyncio.set_event_loop(asyncio.new_event_loop())


REPLACED: dict[str, Callable[[Odd], Any]] = {
    "breaks print": _replace(builtins, "print"),
    "breaks import": _replace(builtins, "__import__"),
    "breaks isinstance": _replace(builtins, "isinstance", lambda *_: False),
    "breaks len": _replace(builtins, "len"),
    "breaks streams": _break_streams,
    "breaks os.replace": _replace(os, "replace"),
    "breaks os.fsync": _replace(os, "fsync"),
    "breaks os.kill": _replace(os, "kill"),
    "breaks os.getpid": _replace(os, "getpid", lambda: 1),
    "breaks os.path": _replace(os, "path", None),
    "breaks paths": _replace(Path, "open"),
    "breaks pickle": _replace(pickle, "dumps", lambda *_, **__: b""),
    "breaks copy": _replace(copy, "deepcopy", lambda *_: None),
    "breaks sleep": _replace(time, "sleep"),
    "breaks asarray": _replace(np, "asarray"),
    "breaks float32": _replace(np, "float32", None),
    "breaks savez": _replace(np, "savez"),
    "breaks threads": _replace(threading.Thread, "join"),
    "breaks processes": _replace(multiprocessing.Process, "start"),
    "floating errors": lambda _: np.seterr(all="raise"),
    "no arguments": lambda _: sys.argv.clear(),
    "no executable": lambda _: setattr(sys, "executable", ""),
    "no run folder": _remove_the_run,
    "ignores the watchdog": _ignore_the_watchdog,
    "handles the watchdog": _handle_the_watchdog,
    "exit by faulthandler": lambda _: faulthandler.dump_traceback_later(0.01, exit=True),
    "interrupts main": _later(_thread.interrupt_main),
    "SystemExit later": _later(_raise_in_main(SystemExit)),
    "ValueError later": _later(_raise_in_main(ValueError)),
    "exits later": _later(lambda: os._exit(0)),
    "holds the pipe": _hold_the_pipe,
    "hides": _hide,
    "small stack": _limit(resource.RLIMIT_STACK, 2**16),
    "small data": _limit(resource.RLIMIT_DATA, 2**20),
    "warns loudly": _warn_loudly,
    "leaves a pool": _leave_a_pool,
    "read-only output": _wrap_descriptors,
    "runs asyncio": _run_asyncio,
    "one core": lambda _: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    "os._exit in a step": lambda _: os._exit(0),
}
