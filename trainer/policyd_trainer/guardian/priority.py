"""Jobs run after what serves: with a lower priority than other processes of the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # about a tenth of the processor time if others want it too


def run_after_others(autogroup: Path = Path("/proc/self/autogroup")) -> None:
    """Lowers the priority of this process and of all processes that it starts from now on.

    Linux may first share the processor among sessions (sched(7), autogroup). Niceness then counts
    only inside a session, so a process that leads a session also lowers the session's priority.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # the kernel has no autogroups, or the folder is read-only
            autogroup.write_text(str(NICENESS))
