"""Compiles the C and Cython of server, trainer and client where there is a compiler.

Each package is compiled whole or not at all; without it the same is computed, more slowly. For an
editable install it also makes the folder of links that the environment finds the packages by.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledPackage(NamedTuple):
    """A package with Cython modules. Builds run at the top of the sources."""

    folder: Path
    name: str
    takes: str  # what has to be installed
    libraries: tuple[str, ...] = ()
    work: str = "serving"  # what is slower without it

    @property
    def modules(self) -> list[Path]:
        """The Cython modules."""
        return sorted(self.folder.glob("*.pyx"))

    def sources(self, module: Path) -> list[str]:
        """What a module is compiled from: itself, and the C that it includes from `core`."""
        core = sorted((self.folder / "core").glob("*.c")) if '"core/' in module.read_text() else []
        return [str(module), *map(str, core)]


PACKAGES = (
    CompiledPackage(Path("server/policyd_server/compiled"), "policyd_server.compiled", "gcc and Python.h"),
    CompiledPackage(
        Path("trainer/policyd_trainer/compiled"),
        "policyd_trainer.compiled",
        "gcc and Python.h",
        work="learning",
    ),
    CompiledPackage(
        Path("server/policyd_server/front"),
        "policyd_server.front",
        "gcc, Python.h, libnghttp2-dev, libssl-dev and zlib1g-dev",
        ("nghttp2", "ssl", "crypto", "z"),
    ),
    CompiledPackage(
        Path("policyd/client/wire"),
        "policyd.client.wire",
        "gcc, Python.h and libnghttp2-dev",
        ("nghttp2",),
        work="calling",
    ),
)

#: The folder on the path of an editable install: a link to each package that is imported.
EDITABLE = Path(".editable")
SOURCES = (
    Path("policyd"),
    Path("proto/policy_api"),
    Path("server/policyd_server"),
    Path("trainer/policyd_trainer"),
)


class CompiledHook(BuildHookInterface[Any]):
    """Runs before each wheel is built, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds what it could compile to the wheel, which then fits one platform only."""
        if version == "editable":
            link_packages()
        for package in PACKAGES:
            for stale in package.folder.glob("*.so"):
                stale.unlink()
            if not package.modules:  # the trainer's image brings no server, and not these packages
                continue
            if (problem := _problem_of(package)) is not None:
                missing = f"{package.folder} is left out and {package.work} will be slower"
                self.app.display_warning(f"{missing}: it takes {package.takes}. {problem}")
                continue
            build_data["artifacts"].append(f"{package.folder}/*.so")
            build_data["pure_python"] = False
            build_data["infer_tag"] = True


def link_packages() -> None:
    """Links the four packages into one folder.

    Type checkers read paths and no import hooks, and the top of the checkout holds other folders.
    """
    EDITABLE.mkdir(exist_ok=True)
    for source in SOURCES:
        link = EDITABLE / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / source, target_is_directory=True)


def _problem_of(package: CompiledPackage) -> Exception | None:
    """Why the package could not be compiled; None: it was."""
    try:
        from setuptools.errors import BaseError, CCompilerError  # noqa: PLC0415
    except ImportError as error:
        return error
    try:
        compile_in_place(package)
    except (ImportError, BaseError, CCompilerError) as error:  # no Cython, no compiler, or no headers
        return error
    return None


def compile_in_place(package: CompiledPackage) -> None:
    """Cython to C to shared libraries beside their sources.

    All, or none and an error of setuptools.
    """
    from Cython.Build import cythonize  # noqa: PLC0415
    from setuptools import Distribution, Extension  # noqa: PLC0415

    # The same numbers on every processor: no fused multiply-add.
    flags = ["-O3", "-g0", "-ffp-contract=off", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"]
    with tempfile.TemporaryDirectory() as folder:
        extensions = [
            Extension(
                f"{package.name}.{source.stem}",
                package.sources(source),
                include_dirs=[str(package.folder)],
                libraries=list(package.libraries),
                extra_compile_args=flags,
            )
            for source in package.modules
        ]
        distribution = Distribution({"ext_modules": cythonize(extensions, build_dir=folder)})
        command: Any = distribution.get_command_obj("build_ext")
        command.build_lib = command.build_temp = folder
        command.parallel = True
        command.ensure_finalized()
        command.run()
        for library in command.get_outputs():
            shutil.copy(library, package.folder)
