"""Jobs run after what serves: with a lower priority than other processes of the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # the processor time of about a tenth, where others want it too


def run_after_others(autogroup: Path = Path("/proc/self/autogroup")) -> None:
    """Lowers the priority of this process and of all that it starts from now on.

    Linux may share the processor among sessions first: sched(7), autogroup. Then niceness counts
    inside a session only. So a process that leads a session lowers the session's priority too.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # the kernel has none, or the folder is read-only
            autogroup.write_text(str(NICENESS))
