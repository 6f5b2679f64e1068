"""Compiles server/compiled, where there is a C compiler; without one the server does without it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("server/compiled")  # builds run at the top of the sources


class CompiledHook(BuildHookInterface[Any]):
    """Runs before each wheel is built, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- hatchling's
        """Adds what it could compile to the wheel, which then fits one platform only."""
        for stale in PACKAGE.glob("*.so"):
            stale.unlink()
        if not any(PACKAGE.glob("*.pyx")):  # the trainer's image brings no server, and not these packages
            return
        from setuptools.errors import BaseError, CCompilerError  # noqa: PLC0415

        try:
            compile_in_place()
        except (BaseError, CCompilerError) as error:  # no compiler, or no headers of Python
            self.app.display_warning(
                f"{PACKAGE} is left out and serving will be slower: it takes gcc and Python.h. {error}"
            )
            return
        build_data["artifacts"].append(f"{PACKAGE}/*.so")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_in_place() -> None:
    """Cython to C to shared libraries beside their sources: all, or none and an error of setuptools."""
    from Cython.Build import cythonize  # noqa: PLC0415
    from setuptools import Distribution, Extension  # noqa: PLC0415

    # The same numbers on every processor: no fused multiply-add.
    flags = ["-O3", "-g0", "-ffp-contract=off"]
    with tempfile.TemporaryDirectory() as folder:
        extensions = [
            Extension(f"server.compiled.{source.stem}", [str(source)], extra_compile_args=flags)
            for source in sorted(PACKAGE.glob("*.pyx"))
        ]
        distribution = Distribution({"ext_modules": cythonize(extensions, build_dir=folder)})
        command: Any = distribution.get_command_obj("build_ext")
        command.build_lib = command.build_temp = folder
        command.parallel = True
        command.ensure_finalized()
        command.run()
        for library in command.get_outputs():
            shutil.copy(library, PACKAGE)
