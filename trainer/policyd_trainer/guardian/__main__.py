"""`python -P -m policyd_trainer.guardian PARENT_PID NAME LOG PROGRAM [ARGUMENT ...]`.

Watches PROGRAM.

A program of its own, because code between fork and exec of a process with threads may hang.
"""

from __future__ import annotations

import sys
from pathlib import Path

from policyd_trainer.guardian.priority import run_after_others
from policyd_trainer.guardian.watch import watch

if __name__ == "__main__":
    run_after_others()
    watch(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
