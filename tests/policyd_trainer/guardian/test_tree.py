"""Tests of the processes below a guardian: which count as left behind, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from policyd_trainer.guardian.tree import abort, descendants, ends_by_itself

# The first thread ends; another thread of the process goes on.
WITHOUT_ITS_FIRST_THREAD = """
import ctypes, os, threading

def go_on():
    while ") Z " not in open(f"/proc/{os.getpid()}/stat").read():
        pass
    print("alone", flush=True)
    threading.Event().wait()

threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2) of the one thread, not of the process
"""
STAYS = "import threading; print('mine', flush=True); threading.Event().wait()"
# Stops itself. As in a worker of Ray, many threads could take the signal that is to end it.
STOPS = """
import faulthandler, signal, sys, threading

faulthandler.enable()
for _ in range(64):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
sys.stdout.buffer.raw.write(b"went on")
"""
# Ends everything below it, as a guardian does, and prints what it ended.
GUARDIAN = """
import os, subprocess, sys
from policyd_trainer.guardian import tree

tree.become_subreaper()
for line in sys.argv[1:]:
    child = subprocess.Popen([sys.executable, "-c", line], stdout=subprocess.PIPE)
    child.stdout.readline()
ended, left = tree.end_descendants()
print(ended, left)
"""


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has printed its first line."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def ended_by_a_guardian(*programs: str) -> str:
    """What a guardian reports about processes that it found."""
    line = [sys.executable, "-c", GUARDIAN, *programs]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_process_that_is_ending_was_not_left_behind() -> None:
    """A process that is ending has no command line, and would be reported as unknown.

    An ended process that is not reaped yet looks the same: no command line, and the kernel's flag.
    """
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        assert ends_by_itself(child)
    finally:
        os.waitpid(child, 0)
    assert ends_by_itself(child)  # it is gone now


def test_a_process_that_runs_was_left_behind() -> None:
    """A process that runs counts even without a command line, because its state shows it."""
    with running(STAYS) as process:
        assert not ends_by_itself(process.pid)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of exit(2) is x86_64's")
def test_a_process_without_its_first_thread_is_found() -> None:
    """By its state alone it looks like a zombie, and would then live on for ever."""
    with running(WITHOUT_ITS_FIRST_THREAD) as process:
        assert process.pid in descendants(os.getpid())
        assert not ends_by_itself(process.pid)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of exit(2) is x86_64's")
def test_what_runs_is_ended_and_told() -> None:
    """The report has an ordinary process by its command line, others by their number."""
    told = ended_by_a_guardian(STAYS, WITHOUT_ITS_FIRST_THREAD)
    assert "mine" in told
    assert "a process (pid " in told
    assert told.endswith("[]\n")


def test_pythons_own_process_is_ended_without_a_word() -> None:
    """The resource tracker of `multiprocessing` ends after its owner, and is not reported."""
    tracked = (
        "import os; from multiprocessing.resource_tracker import ensure_running; ensure_running(); "
        "print('tracked', flush=True); os.kill(os.getpid(), 9)"
    )
    assert ended_by_a_guardian(tracked) == "[] []\n"


@pytest.mark.parametrize("attempt", range(12))  # which thread runs first is the kernel's choice
def test_a_stopped_process_does_nothing_more_before_it_is_aborted(attempt: int) -> None:
    """Its main thread, which was at work, prints its stack and ends."""
    command = [sys.executable, "-c", STOPS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        abort(process.pid)
        out, trace = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGABRT, b""), attempt
    assert b"in <module>" in trace.partition(b"Current thread")[2]
