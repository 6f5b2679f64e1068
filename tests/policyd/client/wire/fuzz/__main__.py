"""Builds the fuzzers of the client's compiled core with sanitizers and runs them.

`python -m tests.policyd.client.wire.fuzz`.
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


def build_codec(folder: Path) -> None:
    """Puts the codec, compiled with sanitizers, into `folder`."""
    from Cython.Build import cythonize  # noqa: PLC0415 -- installed with the compiler
    from setuptools import Distribution, Extension  # noqa: PLC0415

    flags = ["-g", "-O1", *SANITIZERS]
    source = str(CORE.with_name("codec.pyx"))
    extension = Extension(
        "policyd.client.wire.codec", [source], extra_compile_args=flags, extra_link_args=flags
    )
    made = cythonize([extension], build_dir=str(folder / "c"), quiet=True)
    command: Any = Distribution({"ext_modules": made}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    for library in command.get_outputs():
        Path(library).rename(folder / Path(library).name)


def run_codec(folder: Path, inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    """The codec's fuzzer in a process of its own, with Python's memory from the sanitizer."""
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = os.environ | {
        "LD_PRELOAD": runtime.stdout.strip(),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little at its end
        "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}",
    }
    command = [sys.executable, "-m", "tests.policyd.client.wire.fuzz.messages"]
    command += [str(folder), str(inputs), str(seed)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@click.command(help=__doc__)
@click.option("--inputs", default=1_000_000, show_default=True)
@click.option("--seed", type=int, help="Of the inputs.  [default: a new one]")
def main(inputs: int, seed: int | None) -> None:
    """Ends with the fuzzer's exit code."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"{inputs} inputs, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        frames = subprocess.run([str(build(Path(folder))), str(inputs), str(seed)], check=False)
        build_codec(Path(folder))
        messages = run_codec(Path(folder), inputs, seed)
    click.echo(messages.stdout + messages.stderr)
    sys.exit(frames.returncode or messages.returncode)


if __name__ == "__main__":
    main()
