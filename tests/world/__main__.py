"""`make world`: every odd environment as a job through the trainer's service."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.world.matrix import TESTS, trainer, tried

sys.path.insert(0, str(TESTS))


def main() -> None:
    """Tries each habit, or the named ones. Exit code 1 if a result is not allowed."""
    from odd import HABITS  # type: ignore[import-not-found]  # noqa: PLC0415  the name that jobs use

    bad = 0
    with tempfile.TemporaryDirectory() as folder, trainer(Path(folder)) as address:
        for habit in sys.argv[1:] or HABITS:
            case = tried(address, Path(folder), habit)
            bad += bool(case.faults)
            sys.stdout.write(case.describe() + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{bad} of them must not be\n")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
