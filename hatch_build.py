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
    """A package with Cython modules. Builds run in the top folder of the sources."""

    folder: Path
    name: str
    takes: str  # what must be installed to compile it
    libraries: tuple[str, ...] = ()
    work: str = "serving"  # what is slower without it

    @property
    def modules(self) -> list[Path]:
        """The Cython modules."""
        return sorted(self.folder.glob("*.pyx"))

    def sources(self, module: Path) -> list[str]:
        """The sources of a module: its own, and the C files that it includes from `core`."""
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

#: The folder on the path of an editable install. It has a link to each package.
EDITABLE = Path(".editable")
SOURCES = (
    Path("policyd"),
    Path("proto/policy_api"),
    Path("server/policyd_server"),
    Path("trainer/policyd_trainer"),
)


class CompiledHook(BuildHookInterface[Any]):
    """Compiles before each wheel is built, also before an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds what could be compiled to the wheel, which is then for one platform only."""
        if version == "editable":
            link_packages()
        for package in PACKAGES:
            for stale in package.folder.glob("*.so"):
                stale.unlink()
            if not package.modules:  # the trainer's image has no server, and so not these packages
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

    Type checkers read folders on the path, and do not run import hooks. The top of the checkout has
    other folders, so it cannot be on the path.
    """
    EDITABLE.mkdir(exist_ok=True)
    for source in SOURCES:
        link = EDITABLE / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / source, target_is_directory=True)


def _problem_of(package: CompiledPackage) -> Exception | None:
    """Why the package could not be compiled; None if it was."""
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
    """Translates Cython to C and compiles shared libraries beside their sources.

    Either all modules are compiled, or none and an error of setuptools is raised.
    """
    from Cython.Build import cythonize  # noqa: PLC0415
    from setuptools import Distribution, Extension  # noqa: PLC0415

    # So all processors compute the same numbers: no fused multiply-add.
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
