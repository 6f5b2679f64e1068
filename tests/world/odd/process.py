"""What odd environments do to the process they run in, by habit."""

from __future__ import annotations

import asyncio
import builtins
import gc
import json
import locale
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Odd = Any  # the environment


def _raise(error: BaseException) -> Callable[[Odd], None]:
    def raising(_: Odd) -> None:
        raise error

    return raising


def _leave_a_fork(_: Odd) -> None:
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)


def _lose_the_folder(_: Odd) -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def _close_standard_descriptors(_: Odd) -> None:
    for descriptor in (1, 2):
        with open(os.devnull, "w") as nothing:  # noqa: PTH123  a descriptor is needed
            os.dup2(nothing.fileno(), descriptor)
        os.close(descriptor)


def _shrink(environment: Odd) -> None:
    environment.action_space = spaces.Discrete(2)
    environment.observation_space = spaces.Box(-1.0, 2.0, (2,), np.float32)


def _spin_in_a_thread(_: Odd) -> None:
    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()


def _forget_the_environment(_: Odd) -> None:
    os.environ.clear()


def _few_files(_: Odd) -> None:
    opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count is needed
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 16, opened + 16))


def _hide_print(_: Odd) -> None:
    builtins.print = cast("Any", None)


def _hide_streams(_: Odd) -> None:
    sys.stdout = sys.stderr = cast("Any", None)


def _daemonise(_: Odd) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()


def _fork_and_go_on(_: Odd) -> None:
    os.fork()


def _freeze_time(_: Odd) -> None:
    now, ticks = time.time(), time.monotonic()
    time.time, time.monotonic, time.perf_counter = (lambda: now), (lambda: ticks), (lambda: ticks)


def _no_files(_: Odd) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _no_processes(_: Odd) -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


def _begin_a_session(_: object) -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()


def _block_signals(_: Odd) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _spin(_: Odd) -> None:
    while True:
        pass


def _swallow(_: Odd) -> None:
    while True:
        try:
            time.sleep(100)
        except BaseException:  # noqa: BLE001  the habit
            continue


def _finalize_slowly(environment: Odd) -> None:
    weakref.finalize(environment, time.sleep, 1000)


def _forget_modules(_: Odd) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("onnx", "json", "tensorboard")]:
        del sys.modules[name]


def _break_logging(_: Odd) -> None:
    logging.shutdown()
    logging.disable(logging.CRITICAL)
    logging.getLogger().handlers = [cast("Any", None)]


def _delete_temporaries(_: Odd) -> None:
    tempfile.tempdir = "/nowhere"
    os.environ["TMPDIR"] = "/nowhere"


def _frames() -> list[Any]:
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(frame)
        frame = cast("Any", frame.f_back)
    return found


AT_START: dict[str, Callable[[Odd], Any]] = {
    "forgets the path": lambda _: sys.path.clear(),
    "no importers": lambda _: sys.meta_path.clear(),
    "forgets modules": _forget_modules,
    "clears the registry": lambda _: gym.registry.clear(),
    "breaks logging": _break_logging,
    "no temporary folder": _delete_temporaries,
    "finalizer sleeps": _finalize_slowly,
    "spinning thread": _spin_in_a_thread,
    "no threads": lambda _: setattr(
        threading.Thread, "start", _raise(RuntimeError("can't start new thread"))
    ),
    "closes every descriptor": lambda _: os.closerange(3, 1024),
    "blocks signals": _block_signals,
    "own session": _begin_a_session,
    "slow switches": lambda _: sys.setswitchinterval(100),
    "umask": lambda _: os.umask(0o777),
    "leaves a fork": _leave_a_fork,
    "locale": lambda _: locale.setlocale(locale.LC_ALL, "C"),
    "warnings are errors": lambda _: warnings.simplefilter("error"),
    "forgets the environment": _forget_the_environment,
    "start method": lambda _: multiprocessing.set_start_method("fork", force=True),
    "no garbage collection": lambda _: gc.disable(),
    "ignores SIGTERM": lambda _: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "traces": lambda _: sys.settrace(lambda *_: None),
}
AT_A_STEP: dict[str, Callable[[Odd], Any]] = {
    "daemonises": _daemonise,
    "forks and goes on": _fork_and_go_on,
    "freezes the time": _freeze_time,
    "no files": _no_files,
    "no processes": _no_processes,
    "kills its group": lambda _: os.killpg(0, signal.SIGKILL),
    "kills its parent": lambda _: os.kill(os.getppid(), signal.SIGKILL),
    "stops itself": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "stops its parent": lambda _: os.kill(os.getppid(), signal.SIGSTOP),
    "asks a person": lambda _: input("go on? "),
    "swallows everything": _swallow,
    "opens no file": lambda _: setattr(builtins, "open", _raise(OSError("no"))),
    "json of its own": lambda _: setattr(json, "dumps", lambda *_, **__: "{}"),
    "clears globals of numpy": lambda _: np.random.__dict__.pop("default_rng", None),
    "floods": lambda _: os.write(2, b"x" * 2**24),
    "logs a gigabyte of lines": lambda _: [os.write(1, b"y\n" * 2**19) for _ in range(8)],
    "closes descriptors": _close_standard_descriptors,
    "alarm": lambda _: signal.setitimer(signal.ITIMER_REAL, 1e-3),
    "alarm handler": lambda _: (
        signal.signal(signal.SIGALRM, lambda *_: None),
        signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3),
    ),
    "loses its folder": _lose_the_folder,
    "GeneratorExit": _raise(GeneratorExit()),
    "CancelledError": _raise(asyncio.CancelledError()),
    "BaseException": _raise(BaseException("bare")),
    "MemoryError": _raise(MemoryError()),
    "StopIteration": _raise(StopIteration()),
    "shrinks its spaces": _shrink,
    "recursion limit": lambda _: sys.setrecursionlimit(len(_frames()) + 20),
    "few files": _few_files,
    "no print": _hide_print,
    "no streams": _hide_streams,
}
FREED: dict[str, Callable[[Odd], Any]] = {
    "spins when it is freed": _spin,
    "swallows everything when it is freed": _swallow,
    "exits when it is freed": lambda _: os._exit(0),
}
