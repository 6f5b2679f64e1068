"""The command line that every contestant's process understands. Standard library only."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    algorithm: str
    env_id: str
    seed: int
    steps: int  # environment steps; 0: the contestant's full budget
    gap: float  # least seconds between snapshots
    growth: float  # least time between snapshots, as a share of the time so far
    max_seconds: float  # the run is then stopped
    out: Path  # where it writes its record

    def command(self) -> list[str]:
        """The run as arguments of a process."""
        return [word for name, value in vars(self).items() for word in (f"--{name}", str(value))]


def parse() -> Run:
    """The run that this process was started for."""
    parser = argparse.ArgumentParser()
    types = {"seed": int, "steps": int, "gap": float, "growth": float, "max_seconds": float, "out": Path}
    for name in Run.__dataclass_fields__:
        parser.add_argument(f"--{name}", type=types.get(name, str), required=True)
    return Run(**vars(parser.parse_args()))
