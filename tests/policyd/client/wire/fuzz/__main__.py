"""Builds the fuzzers of the client's compiled core with sanitizers and runs them.

`python -m tests.policyd.client.wire.fuzz`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests import sanitized

CORE = sanitized.ROOT / "policyd/client/wire/core"


def build(folder: Path) -> Path:
    """Compiles the fuzzer with the core's own sources."""
    return sanitized.program(folder, Path(__file__).with_name("responses.c"), CORE, ("-lnghttp2", "-lm"))


def run_codec(folder: Path, inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    """Runs the codec's fuzzer, with the codec compiled into `folder`."""
    sanitized.modules(folder, {"policyd.client.wire.codec": CORE.with_name("codec.pyx")})
    return sanitized.run("tests.policyd.client.wire.fuzz.messages", folder, inputs, seed)


@click.command(help=__doc__)
@click.option("--inputs", default=1_000_000, show_default=True)
@click.option("--seed", type=int, help="Of the inputs.  [default: a new one]")
def main(inputs: int, seed: int | None) -> None:
    """Ends with the fuzzer's exit code."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"{inputs} inputs, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        frames = subprocess.run([str(build(Path(folder))), str(inputs), str(seed)], check=False)
        messages = run_codec(Path(folder), inputs, seed)
    click.echo(messages.stdout + messages.stderr)
    sys.exit(frames.returncode or messages.returncode)


if __name__ == "__main__":
    main()
