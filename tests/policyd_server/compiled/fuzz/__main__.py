"""Compiles the server's Cython with sanitizers and sends it odd requests.

`python -m tests.policyd_server.compiled.fuzz`.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.policyd_server.front.fuzz.__main__ import ROOT, SANITIZERS

SOURCES = ROOT / "server/policyd_server/compiled"
PACKAGE = "policyd_server.compiled"


def build(folder: Path) -> None:
    """Puts the modules into `folder`."""
    from Cython.Build import cythonize  # noqa: PLC0415 -- installed with the compiler
    from setuptools import Distribution, Extension  # noqa: PLC0415

    flags = ["-g", "-O1", *SANITIZERS]
    extensions = [
        Extension(f"{PACKAGE}.{source.stem}", [str(source)], extra_compile_args=flags, extra_link_args=flags)
        for source in sorted(SOURCES.glob("*.pyx"))
    ]
    made = cythonize(extensions, build_dir=str(folder / "c"), quiet=True)
    command: Any = Distribution({"ext_modules": made}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    for library in command.get_outputs():
        Path(library).rename(folder / Path(library).name)


def run(folder: Path, inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    """The fuzzer in a process of its own. Python's memory comes from the sanitizer's malloc."""
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = os.environ | {
        "LD_PRELOAD": runtime.stdout.strip(),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little at its end
        "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}:{ROOT / 'server'}",
    }
    command = [sys.executable, "-m", "tests.policyd_server.compiled.fuzz.requests"]
    command += [str(folder), str(inputs), str(seed)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@click.command(help=__doc__)
@click.option("--inputs", default=1_000_000, show_default=True)
@click.option("--seed", type=int, help="Of the inputs.  [default: a new one]")
def main(inputs: int, seed: int | None) -> None:
    """Ends with the fuzzer's exit code."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"{inputs} requests, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        done = run(Path(folder), inputs, seed)
    click.echo(done.stdout + done.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
