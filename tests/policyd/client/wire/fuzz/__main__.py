"""Builds the fuzzer of the client's compiled core with sanitizers and runs it.

`python -m tests.policyd.client.wire.fuzz`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[5]
CORE = ROOT / "policyd/client/wire/core"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def build(folder: Path) -> Path:
    """The fuzzer, made of the core's own sources."""
    program = folder / "responses"
    sources = [Path(__file__).with_name("responses.c"), *sorted(CORE.glob("*.c"))]
    command = ["gcc", "-g", "-O1", "-D_GNU_SOURCE", *SANITIZERS, f"-I{CORE}", *map(str, sources)]
    subprocess.run([*command, "-o", str(program), "-lnghttp2", "-lm"], check=True)
    return program


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
