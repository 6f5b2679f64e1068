"""Starts the training process, waits for it, and ends what it leaves behind."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from policyd.runtime.running_time import RunningTime
from policyd_trainer.guardian import cgroup, tree
from policyd_trainer.guardian.board import BOARD, REPORTED, RUNNING, VARIABLE, shared_memory
from policyd_trainer.guardian.log import BoundedLog
from policyd_trainer.guardian.pulse import Pulse, standstill

GRACE = 5.0  # seconds from the report of a result until the process is killed
TRACE = 2.0  # seconds for a process that hangs to print its stack
_LOOK = 0.5  # seconds between two checks of these times
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
END_ALL = signal.SIGUSR1  # ends the guardian's process and everything below it at once


@dataclass(frozen=True)
class End:
    """How a watched process ended."""

    code: int  # exit code; negative: the signal that ended it
    call: str  # the call into the environment that was running; empty: none was
    stage: int  # stage of the run: IDLE, RUNNING or REPORTED
    announced: int  # the exit code that it reported, if it reported one
    ended: list[str] = field(default_factory=list)  # processes that it left behind and that were killed
    left: list[str] = field(default_factory=list)  # processes that could not be killed
    standstill: str = ""  # why it hung, if it was ended for that; else empty

    @property
    def exit_code(self) -> int:
        """The guardian's own exit code: not 0 unless the run reported its result."""
        if self.stage == REPORTED:
            return self.announced
        if self.code < 0:
            return 128 - self.code
        return 1 if self.code == 0 and self.stage == RUNNING else self.code

    @property
    def is_unreported(self) -> bool:
        """Whether the process ended during its run without a report of why."""
        return self.stage == RUNNING and self.code != 128 + signal.SIGTERM

    def message(self) -> str:
        """The end in words."""
        return f"the training process {self.standstill or how(self.code)}{during(self.call)}"

    def failure(self) -> str:
        """The WorkerEvent, as JSON, for a run that could not report its own failure."""
        reason = "ENVIRONMENT_HANGS" if self.standstill and self.call else "WORKER_DIED"
        return json.dumps({"failure": {"reason": reason, "message": self.message()}})

    def as_event(self) -> str:
        """The WorkerEvent for the trainer, as JSON."""
        ending = {"exit_code": self.code, "call": self.call, "leftovers": self.ended, "unkillable": self.left}
        return json.dumps({"ending": ending})


def how(code: int) -> str:
    """An exit code in words, as a phrase that follows a subject."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"


def during(call: str) -> str:
    """Which call into the environment was running, as a phrase that ends a sentence."""
    return f" in a call of the environment: {call}" if call else ""


class Guardian:
    """Watches one process and ends it if it hangs."""

    def __init__(self, log: Path | None = None, group: Path | None = None, seconds: float = math.inf) -> None:
        """`log` is the file for the process's standard error; None: that of the guardian.

        `group` is the process's cgroup. The process may run for so many `seconds`.
        """
        self._group, self._seconds = group, seconds
        self._log = BoundedLog(log) if log is not None else None
        self._pipe = os.pipe() if log is not None else None
        self._child = 0
        self._reported: RunningTime | None = None  # since the result was first seen on the board
        self._standstill, self._call = "", ""  # why the process was ended, and in which call
        self._ended: RunningTime | None = None  # since it was ended for that

    def run(self, work: Callable[[], None]) -> End:
        """Calls `work` in a forked process and waits for its end."""
        tree.become_subreaper()
        wake, wake_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Signals wait until there is a process that they can be forwarded to.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, END_ALL})
        self._child = os.fork()
        if self._child == 0:
            self._become_child()
            work()
            os._exit(0)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (*_FORWARDED, END_ALL):
            signal.signal(number, self._forward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_FORWARDED, END_ALL})
        status = self._wait(wake)
        return self._end(status)

    def _become_child(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_FORWARDED, END_ALL})
        tree.signal_at_death_of_parent(signal.SIGKILL)
        if self._group is not None:
            cgroup.enter(self._group)
        if self._pipe is not None:
            os.dup2(self._pipe[1], 2)
            os.close(self._pipe[0])
            os.close(self._pipe[1])

    def _wait(self, wake: int) -> int:
        """Copies the process's output to the log and forwards signals until the process has ended.

        Returns its wait status.
        """
        self._pulse, self._running = Pulse(BOARD.bytes, self._child), RunningTime()
        child = os.pidfd_open(self._child)
        poll = select.poll()
        for descriptor in (child, wake):
            poll.register(descriptor, select.POLLIN)
        if self._pipe is not None:
            os.close(self._pipe[1])
            poll.register(self._pipe[0], select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(_LOOK * 1000):
                if descriptor == wake:
                    os.read(wake, 4096)
                elif descriptor == child:
                    os.close(child)
                    status = tree.reap(self._child)
                    assert status is not None, "its descriptor said that it has ended"
                    return status
                elif not self._copy():
                    poll.unregister(descriptor)
            self._end_if_reported()
            self._end_if_lost()
            self._end_if_late()

    def _copy(self) -> bool:
        """Copies what the process wrote to the log. Returns False at the end of the pipe."""
        assert self._log is not None
        assert self._pipe is not None
        content = os.read(self._pipe[0], 65536)
        self._log.write(content)
        return bool(content)

    def _end_if_reported(self) -> None:
        """Ends a process that has reported its result but does not exit.

        Its threads or exit handlers may prevent the exit.
        """
        if BOARD.stage != REPORTED:
            return
        self._reported = self._reported or RunningTime()
        if self._reported.seconds > GRACE:
            self._kill_child()

    def _end_if_lost(self) -> None:
        """Ends a process that hangs. First, faulthandler prints its stack.

        A process that a signal stopped in a call of `close` is continued instead.
        """
        if self._ended is not None:
            if self._ended.seconds > TRACE:
                self._kill_child()
        elif BOARD.stage == RUNNING and self._pulse.is_lost():
            if BOARD.call == "close":  # a `close` that hangs does no harm: the watchdog handles it
                os.kill(self._child, signal.SIGCONT)
                return
            self._standstill, self._call = standstill(self._child), BOARD.call
            self._ended = RunningTime()
            tree.abort(self._child)

    def _end_if_late(self) -> None:
        if self._running.seconds > self._seconds:
            sys.stderr.write(f"policyd: it took longer than {self._seconds:g} s\n")
            self._kill_child()

    def _forward(self, number: int, _: object) -> None:
        if number == END_ALL:
            self._kill_child()
            return
        with suppress(ProcessLookupError):
            os.kill(self._child, number)

    def _kill_child(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)

    def _end(self, status: int) -> End:
        ended, left = tree.end_descendants()
        if self._group is not None:
            left += [tree.describe(pid) for pid in cgroup.end(self._group)]
        code, call = os.waitstatus_to_exitcode(status), self._call or BOARD.call
        end = End(code, call, BOARD.stage, BOARD.code, ended, left, self._standstill)
        self._finish_log(end)
        return end

    def _finish_log(self, end: End) -> None:
        lines = [f"ended a process that was left behind: {name}" for name in end.ended]
        lines += [f"a process that was left behind cannot be ended: {name}" for name in end.left]
        if end.is_unreported:
            lines.append(end.message())
        text = "".join(f"policyd: {line}\n" for line in lines)
        if self._log is None or self._pipe is None:
            sys.stderr.write(text)
            return
        os.set_blocking(self._pipe[0], False)
        with suppress(BlockingIOError):  # held open by processes that could not be killed
            while self._copy():
                pass
        self._log.write(text.encode())
        self._log.close()


def guarded(work: Callable[[], None], seconds: float = math.inf) -> int:
    """Runs `work` in a process of its own, for at most `seconds`. Returns the exit code."""
    memory = shared_memory()
    BOARD.attach(memory)
    os.close(memory)
    end = Guardian(seconds=seconds).run(work)
    if end.exit_code == 0 and (after := BOARD.after):
        _start(after)
    if end.is_unreported and BOARD.as_json:
        sys.stdout.write("\n" + end.failure() + "\n")
        sys.stdout.flush()
    return end.exit_code


def _start(command: list[str]) -> None:
    """Starts a process that outlives this one."""
    nothing = subprocess.DEVNULL
    subprocess.Popen(command, start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing)


def watch(parent: int, name: str, log: Path, command: list[str]) -> None:
    """Runs `command` under a guardian for a trainer.

    The command's standard error goes to `log`. How it ended goes to standard output.
    """
    tree.signal_at_death_of_parent(END_ALL)
    if os.getppid() != parent:  # the trainer ended before the kernel was asked to signal that
        sys.exit(1)
    memory = shared_memory()
    BOARD.attach(memory)

    def work() -> None:
        os.set_inheritable(memory, True)
        os.environ[VARIABLE] = str(memory)
        os.execv(command[0], command)  # noqa: S606 -- the command is the trainer's own

    end = Guardian(log, cgroup.made(name)).run(work)
    events = [end.failure()] if end.standstill else []
    with suppress(BrokenPipeError):
        os.write(1, "".join(f"\n{event}\n" for event in (*events, end.as_event())).encode())
    sys.exit(end.exit_code)
