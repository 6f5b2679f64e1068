"""Builds the fuzzer of the front with sanitizers and runs it.

`python -m tests.policyd_server.front.fuzz`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests import sanitized

CORE = sanitized.ROOT / "server/policyd_server/front/core"
LIBRARIES = ("-lnghttp2", "-lssl", "-lcrypto", "-lz", "-lpthread")


def build(folder: Path) -> Path:
    """Compiles the fuzzer with the front's own sources."""
    return sanitized.program(folder, Path(__file__).with_name("frames.c"), CORE, LIBRARIES)


@click.command(help=__doc__)
@click.option("--inputs", default=1_000_000, show_default=True)
@click.option("--seed", type=int, help="Of the inputs.  [default: a new one]")
def main(inputs: int, seed: int | None) -> None:
    """Ends with the fuzzer's exit code."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"{inputs} inputs, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([str(build(Path(folder))), str(inputs), str(seed)], check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
