"""Compiles server/compiled in place, where there is a C compiler; without one the server does without it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledHook(BuildHookInterface[Any]):
    """Runs before each wheel is built, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- hatchling's
        """Adds what it could compile to the wheel, which then fits one platform only."""
        from setuptools.errors import BaseError, CCompilerError  # noqa: PLC0415 -- of the build only

        try:
            compile_in_place(Path(self.root))
        except (BaseError, CCompilerError) as error:
            self.app.display_warning(f"server/compiled is left out, serving will be slower: {error}")
            return
        build_data["artifacts"].append("server/compiled/*.so")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_in_place(root: Path) -> None:
    """Cython to C to shared libraries beside their sources; errors of setuptools where that fails."""
    from Cython.Build import cythonize  # noqa: PLC0415 -- of the build only
    from setuptools import Distribution, Extension  # noqa: PLC0415

    # The same numbers on every processor: no fused multiply-add.
    flags = ["-O3", "-g0", "-ffp-contract=off"]
    with tempfile.TemporaryDirectory() as folder:
        extensions = [
            Extension(
                f"server.compiled.{source.stem}", [f"server/compiled/{source.name}"], extra_compile_args=flags
            )
            for source in sorted((root / "server/compiled").glob("*.pyx"))
        ]
        distribution = Distribution({"ext_modules": cythonize(extensions, build_dir=folder)})
        command: Any = distribution.get_command_obj("build_ext")
        command.inplace, command.build_temp = True, folder
        command.ensure_finalized()
        command.run()
