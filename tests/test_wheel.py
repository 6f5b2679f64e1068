"""The wheel and the sdist.

What is in them, and that the services run where other things have such names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

from policyd import __version__
from policyd.repository import ModelRepository
from tests.packaging import FILES, PACKAGES, ROOT, UNCOMPILED, build, copy_sources
from tests.policyd_server import artifacts

pytestmark = [
    pytest.mark.long,
]  # seconds: the first test builds, and another one makes an environment

COMMANDS = {"policyd-server": "policyd_server", "policyd-trainer": "policyd_trainer", "policyctl": "policyd"}
#: Names that people use in their own folders, and of packages on PyPI.
THEIRS = ("server.py", "trainer.py", "policy.py", "repository/__init__.py", "trainer/__init__.py")
STARTED = 60.0  # seconds; the machine is shared


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of this checkout."""
    return build(copy_sources(tmp_path_factory.mktemp("sources")), "sdist")[0]


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the sdist, with nothing compiled."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build(folder / sdist.name.removesuffix(".tar.gz"), **UNCOMPILED)[0]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a virtual environment with the wheel and PyPI's `trainer`.

    It has our dependencies, too.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    for name in ("trainer/__init__.py", "server/__init__.py"):  # the way other distributions install them
        _write(site / name, "raise SystemExit('an unrelated distribution runs')")
    return folder / "bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with modules that end any process that imports them."""
    for name in THEIRS:
        _write(tmp_path / name, "raise SystemExit('a file of the user runs')")
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _tracked(*folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *folders],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_holds_four_packages(wheel: Path) -> None:
    """No other distribution could have its top-level names.

    It has all files of the packages except C sources.
    """
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    info = f"policyd-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, info}
    wanted = {
        f"{package}/{Path(name).relative_to(folder)}"
        for package, folder in PACKAGES.items()
        for name in _tracked(folder)
        if "/core/" not in name  # C sources; the wheel has their library
    }
    assert {name for name in names if not name.startswith(info)} == wanted
    assert "policyd/py.typed" in names


def test_the_sdist_holds_what_the_wheel_is_built_from(sdist: Path) -> None:
    """The sdist has the packages, .proto files and texts, without tests, images and benchmarks."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    packages = _tracked(*PACKAGES.values())
    assert names - {"PKG-INFO"} == packages | set(FILES)


def test_the_version_is_told_once() -> None:
    """The project's metadata and the package have the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project.get("version", __version__) == __version__


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_names_itself(installed: Path, folder: Path, name: str) -> None:
    """As a script and with `python -m`, help, version and errors name the typed command."""
    for command in (installed / name,), (installed / "python", "-m", COMMANDS[name]):
        assert _output(folder, *command, "--help").startswith(f"Usage: {name} ")
        assert __version__ in _output(folder, *command, "--version")
        wrong = subprocess.run(
            [*command, "--nothing"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert wrong.returncode == 2
        assert name in wrong.stderr
        assert "Traceback" not in wrong.stderr


def _output(folder: Path, *command: str | Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@contextmanager
def _running(folder: Path, *command: str | Path) -> Iterator[str]:
    """Runs a service, which must end without an error. Yields its address."""
    own = Path(tempfile.mkdtemp(dir=folder))
    port_file, log = own / "port", own / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--port-file", port_file, "--repository", "models"],
            cwd=folder, stderr=errors, env=os.environ | {"POLICYD_JOBS": f"sqlite:///{folder}/jobs.db"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + STARTED
        while not port_file.exists():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()  # noqa: PT018
            time.sleep(0.01)  # another process writes the file: there is no event to wait for
        yield port_file.read_text().strip()
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, log.read_text()


@pytest.mark.parametrize("by", ["script", "module"])
def test_the_services_run_among_such_names(installed: Path, folder: Path, by: str) -> None:
    """In a folder with files of these names both services start and respond.

    The client works, too.
    """
    described = artifacts.metadata("cartpole")
    files = {"model.onnx": artifacts.model(described)}
    ModelRepository(folder / "models").publish("cartpole", files, metadata=described)
    trainer, server, client = (
        (installed / command,) if by == "script" else (installed / "python", "-m", COMMANDS[command])
        for command in ("policyd-trainer", "policyd-server", "policyctl")
    )
    with (
        _running(folder, *trainer, "serve") as learns,
        _running(folder, *server, "--workers", "2", "--trainer", learns) as serves,
    ):
        ask = (*client, "--server", serves, "--json")
        answer = json.loads(_output(folder, *ask, "act", "--version", "1", "0,0,0,0"))
        jobs = json.loads(_output(folder, *ask, "jobs", "list"))
    assert (answer["version"], jobs) == (1, {"jobs": []})


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed for this Python")
def test_a_policy_is_learnt_among_such_names(installed: Path, folder: Path) -> None:
    """A job's worker also runs in such a folder: its policy is published and served."""
    identity = ("--policy", "cartpole", "--env", "CartPole-v1", "--algorithm", "a2c")
    short = ("--set", "total_timesteps=256", "--set", "evaluation_episodes=2", "--set", "candidates=1")
    with (
        _running(folder, installed / "policyd-trainer", "serve") as learns,
        _running(folder, installed / "policyd-server", "--workers", "1", "--trainer", learns) as serves,
    ):
        ask = (installed / "policyctl", "--server", serves, "--json")
        _output(folder, *ask, "retrain", *identity, *short, "--wait")
        answer = json.loads(_output(folder, *ask, "act", "--policy", "cartpole", "--version", "1", "0,0,0,0"))
    assert answer["version"] == 1


def test_an_editable_install_adds_no_other_names(tmp_path: Path) -> None:
    """The checkout's editable environment finds no other top-level folder."""
    program = (
        "import importlib.util as u, sys; "
        "print([name for name in sys.argv[1:] if u.find_spec(name) is not None])"
    )
    others = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isidentifier()}
    command = [sys.executable, "-I", "-c", program, *sorted(others)]
    assert _output(tmp_path, *command).strip() == "['policyd']"
