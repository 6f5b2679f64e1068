"""How odd environments end, stop, replace or starve their process at a step, by habit."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import resource
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any, cast

Odd = Any  # the environment


class Bare(BaseException):
    """A BaseException whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Mute(Exception):
    """An Exception whose text cannot be read."""

    def __str__(self) -> str:
        raise SystemExit(0)

    def __repr__(self) -> str:
        raise SystemExit(0)


def _stop_both(_: Odd) -> None:
    os.kill(os.getppid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(error: BaseException) -> Callable[[Odd], None]:
    def raising(_: Odd) -> None:
        raise error

    return raising


def _signal(number: signal.Signals) -> Callable[[Odd], None]:
    return lambda _: os.kill(os.getpid(), number)


def _print_from_c(_: Odd) -> None:
    libc = ctypes.CDLL(None)
    libc.puts(b'{"result": {"version": 99}}')
    libc.printf(b'\n{"failure": {"reason": "NO", "message": "no"}}\nwithout an end')
    libc.fflush(None)


def _daemon_of_old(_: Odd) -> None:
    """Forks twice into a new session, with every descriptor closed."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 1024)
    time.sleep(600)
    os._exit(0)


def _many_children(_: Odd) -> None:
    for _ in range(50):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)


def _many_threads(_: Odd) -> None:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(600,)).start()


def _replace_modules(_: Odd) -> None:
    for name in ("numpy", "json", "onnx", "policyd", "policyd.errors", "policyd_trainer"):
        sys.modules[name] = types.ModuleType(name)


def _little_memory(_: Odd) -> None:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (used, used))


def _little_time(_: Odd) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _overflow_the_stack(_: Odd) -> None:
    sys.setrecursionlimit(2**30)
    nested: Any = []
    for _ in range(10**6):
        nested = [nested]
    repr(nested)


def _refuse_to_open(_: Odd) -> None:
    def hook(event: str, arguments: Any) -> None:
        if event == "open":
            raise RuntimeError("nothing is opened here")

    sys.addaudithook(hook)


def _chained(_: Odd) -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def _sleep_at_exit(_: Odd) -> None:
    atexit.register(time.sleep, 600)


def _break_hooks(_: Odd) -> None:
    sys.excepthook = sys.unraisablehook = threading.excepthook = cast("Any", lambda *_: os._exit(0))


ENDINGS: dict[str, Callable[[Odd], Any]] = {
    "becomes another program": lambda _: os.execv("/bin/sleep", ["sleep", "600"]),
    "keeps the lock": lambda _: ctypes.PyDLL(None).sleep(600),
    "aborts": lambda _: os.abort(),
    "SIGKILL": _signal(signal.SIGKILL),
    "SIGHUP": _signal(signal.SIGHUP),
    "SIGQUIT": _signal(signal.SIGQUIT),
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGINT": _signal(signal.SIGINT),
    "SIGTSTP": _signal(signal.SIGTSTP),
    "SIGUSR1": _signal(signal.SIGUSR1),
    "SIGUSR2": _signal(signal.SIGUSR2),
    "prints from C": _print_from_c,
    "daemon of old": _daemon_of_old,
    "many children": _many_children,
    "many threads": _many_threads,
    "replaces modules": _replace_modules,
    "clears modules": lambda _: sys.modules.clear(),
    "closes all descriptors": lambda _: os.closerange(0, 65536),
    "little memory": _little_memory,
    "little time": _little_time,
    "overflows the stack": _overflow_the_stack,
    "opens nothing": _refuse_to_open,
    "another user": lambda _: os.setuid(65534),
    "sleeps at exit": _sleep_at_exit,
    "breaks hooks": _break_hooks,
    "gc callback": lambda _: gc.callbacks.append(lambda *_: sys.exit(0)),
    "profiles": lambda _: sys.setprofile(cast("Any", _raise(Bare()))),
    "Bare": _raise(Bare()),
    "Mute": _raise(Mute()),
    "a group": _raise(BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("one")])),
    "chained": _chained,
    "a long error": _raise(ValueError("x" * 10**8)),
    "an unprintable error": _raise(ValueError("\udcff\x1b[2J\x00\n")),
    "stops its guardian and itself": _stop_both,
}
