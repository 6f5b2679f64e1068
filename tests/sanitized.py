"""Compiles C and Cython with sanitizers, and runs what was compiled: for the fuzzers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_FLAGS = (
    *("-g", "-O1"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"),
)


def program(folder: Path, main: Path, core: Path, libraries: Sequence[str]) -> Path:
    """Compiles `main` and all sources in `core` to a program in `folder`."""
    made = folder / main.stem
    sources = [str(main), *map(str, sorted(core.glob("*.c")))]
    includes = [f"-I{core}", f"-I{ROOT / 'tests'}"]
    subprocess.run(["gcc", *_FLAGS, *includes, *sources, "-o", str(made), *libraries], check=True)
    return made


def modules(folder: Path, sources: Mapping[str, Path]) -> None:
    """Compiles Cython modules, given by name, into `folder`."""
    from Cython.Build import cythonize  # noqa: PLC0415  installed with the compiler
    from setuptools import Distribution, Extension  # noqa: PLC0415

    flags = list(_FLAGS)
    extensions = [
        Extension(name, [str(source)], extra_compile_args=flags, extra_link_args=flags)
        for name, source in sources.items()
    ]
    made = cythonize(extensions, build_dir=str(folder / "c"), quiet=True)
    command: Any = Distribution({"ext_modules": made}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    for library in command.get_outputs():
        Path(library).rename(folder / Path(library).name)


def run(module: str, folder: Path, inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    """Runs `module` in a process whose memory comes from the sanitizer's malloc.

    Its arguments are the folder that `modules` filled, the number of inputs, and their seed.
    """
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = os.environ | {
        "LD_PRELOAD": runtime.stdout.strip(),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little memory at its end
        "PYTHONPATH": os.pathsep.join(str(ROOT / place) for place in (".", "proto", "server")),
    }
    command = [sys.executable, "-m", module, str(folder), str(inputs), str(seed)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
