"""What a wheel holds that was built with a C compiler, and one that was built without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
PACKAGES = ("policyd", "proto/policy_api", "server/policyd_server", "trainer/policyd_trainer")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources of a wheel, with a library that an earlier build left behind."""
    folder = tmp_path / "sources"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    (folder / "server/policyd_server/compiled" / f"rows{SUFFIX}").write_bytes(b"of an earlier build")
    return folder


def _build(sources: Path, target: str = "wheel", **variables: str) -> tuple[Path, str]:
    """The file that was built, and the output."""
    command = (sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", "dist")
    done = subprocess.run(
        command, cwd=sources, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return next((sources / "dist").iterdir()), said


def _files(folder: Path) -> set[str]:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if "__pycache__" not in name}


def _has_compiler() -> bool:
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split()
    headers = [
        Path(sysconfig.get_config_var("INCLUDEPY")) / "Python.h",
        Path("/usr/include/nghttp2/nghttp2.h"),
    ]
    return bool(compiler) and shutil.which(compiler[0]) is not None and all(map(Path.exists, headers))


@pytest.mark.skipif(not _has_compiler(), reason="there is no C compiler, or Python.h or nghttp2.h is missing")
@pytest.mark.timeout(600)  # everything is compiled
def test_a_compiler_makes_a_wheel_for_one_platform(sources: Path) -> None:
    """The wheel has all libraries, these can be imported, and its tag says so.

    No other file is left in the sources.
    """
    before = _files(sources)
    wheel, _ = _build(sources)
    assert "-none-any" not in wheel.name
    modules = (
        "compiled/blake2b",
        "compiled/choice",
        "compiled/crc32",
        "compiled/dealt",
        "compiled/index",
        "compiled/records",
        "compiled/ring",
        "compiled/rows",
        "front/binding",
        "front/client",
        "front/in_place",
        "front/recogniser",
    )
    libraries = {f"policyd_server/{name}{SUFFIX}" for name in modules}
    in_sources = {f"server/{name}" for name in libraries}
    learning = ("classic", "collecting", "passes", "perceptron", "updates")
    ours = {f"policyd_trainer/compiled/{name}{SUFFIX}" for name in learning}
    libraries, in_sources = libraries | ours, in_sources | {f"trainer/{name}" for name in ours}
    calling = {f"policyd/client/wire/{name}{SUFFIX}" for name in ("binding", "codec")}
    libraries, in_sources = libraries | calling, in_sources | calling
    with ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if name.endswith(".so")} == libraries
        archive.extractall(sources.parent / "installed")
    assert _files(sources) == before | in_sources | {f"dist/{wheel.name}"}
    _import_compiled(sources.parent / "installed")


def _import_compiled(site: Path) -> None:
    """Imports from this folder instead of the checkout."""
    program = (
        "from policyd_server import compiled, front; from policyd_server.compiled import rows, choice; "
        "from policyd_server.front import binding, client, in_place, recogniser; "
        "assert compiled.AVAILABLE and front.AVAILABLE; "
        "from policyd_trainer import compiled as learning; "
        "from policyd_trainer.compiled import classic, collecting, passes, perceptron, updates; "
        "assert learning.AVAILABLE; "
        "from policyd.client import wire; from policyd.client.wire import binding, codec; "
        "assert wire.AVAILABLE; "
        "print(rows.__file__)"
    )
    command = (sys.executable, "-c", program)
    variables = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=site, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(site))


@pytest.mark.parametrize(
    "variables", [{"CC": "/nowhere/cc"}, {"PATH": "/nowhere", "CC": "gcc"}, {"CC": "false"}]
)
def test_without_a_compiler_the_wheel_is_pure(sources: Path, variables: dict[str, str]) -> None:
    """The build says what is missing. The old library is in neither wheel nor sources."""
    wheel, said = _build(sources, **variables)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "server/policyd_server/compiled is left out" in said
    assert "server/policyd_server/front is left out" in said
    assert "trainer/policyd_trainer/compiled is left out and learning will be slower" in said
    assert "policyd/client/wire is left out and calling will be slower" in said
    with ZipFile(wheel) as archive:
        assert "policyd_server/compiled/__init__.py" in archive.namelist()
        assert [name for name in archive.namelist() if name.endswith((".so", ".c"))] == []
    generated = [name for name in _files(sources) if name.endswith((".so", ".c")) and "/core/" not in name]
    assert generated == []


def test_sources_that_do_not_translate_end_the_build(sources: Path) -> None:
    """A mistake in a .pyx file does not count as a missing compiler."""
    with (sources / "server/policyd_server/compiled/rows.pyx").open("a") as source:
        source.write("\ncdef int = =\n")
    with pytest.raises(AssertionError, match=r"rows\.pyx"):
        _build(sources)


@pytest.mark.timeout(600)  # the rest is compiled
def test_without_the_server_its_parts_are_not_compiled(sources: Path) -> None:
    """The trainer's image builds the project without the server."""
    shutil.rmtree(sources / "server/policyd_server")
    (sources / "server/policyd_server").mkdir()
    wheel, _ = _build(sources)
    with ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
    assert all(name.startswith(("policyd_trainer/compiled/", "policyd/client/wire/")) for name in libraries)
