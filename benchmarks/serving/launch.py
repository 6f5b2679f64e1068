"""Becomes the program that it is told, which then dies with the process that started it.

python -I -S launch.py PARENT_PID PROGRAM [ARGUMENT ...]

A program of its own, run before exec, because code between fork and exec of a process with threads
may hang. The kernel keeps the death signal over exec (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replaces this process by `command`."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the kernel was asked to signal that
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
