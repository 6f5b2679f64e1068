"""Compiles the server's Cython with sanitizers and sends it odd requests.

`python -m tests.policyd_server.compiled.fuzz`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests import sanitized

SOURCES = sanitized.ROOT / "server/policyd_server/compiled"


def run(folder: Path, inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    """Runs the fuzzer, with the modules compiled into `folder`."""
    sources = {f"policyd_server.compiled.{each.stem}": each for each in sorted(SOURCES.glob("*.pyx"))}
    sanitized.modules(folder, sources)
    return sanitized.run("tests.policyd_server.compiled.fuzz.requests", folder, inputs, seed)


@click.command(help=__doc__)
@click.option("--inputs", default=1_000_000, show_default=True)
@click.option("--seed", type=int, help="Of the inputs.  [default: a new one]")
def main(inputs: int, seed: int | None) -> None:
    """Ends with the fuzzer's exit code."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"{inputs} requests, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        done = run(Path(folder), inputs, seed)
    click.echo(done.stdout + done.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
