"""Real trainers and servers, as two processes each, on free ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.stack import Stack, StackSettings
from policyd import PolicyClient

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A trainer and a server, with an empty repository."""
    with Stack(StackSettings(tmp_path)) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[PolicyClient]:
    """A client of the server."""
    with PolicyClient(stack.server_address, timeout=60) as connected:
        yield connected


class Shell:
    """Runs policyctl in a process of its own."""

    def __init__(self, address: str, variables: dict[str, str]) -> None:
        self.address = address
        self._variables = variables

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Returns what policyctl printed on stdout. Fails the test at another exit code."""
        program = Path(sys.executable).with_name("policyctl")
        done = subprocess.run(
            [str(program), "--server", self.address, *arguments],
            env=os.environ | self._variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with examples/corridor installed as a package."""
    folder = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*pip, "--target", str(folder), str(ROOT / "examples" / "corridor")], check=True)
    return folder


@pytest.fixture(scope="module")
def corridor_stack(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose operator has installed and allowed the corridor."""
    settings = StackSettings(
        tmp_path_factory.mktemp("stack"),
        trainer_arguments=("--allow-env", "corridor:*"),
        variables={"PYTHONPATH": str(site)},
    )
    with Stack(settings) as running:
        yield running


@pytest.fixture(scope="module")
def corridor(corridor_stack: Stack, site: Path) -> Shell:
    """The command policyctl for a server with a newly trained policy for the corridor."""
    shell = Shell(corridor_stack.server_address, {"PYTHONPATH": str(site)})
    what = ("--policy", "corridor", "--env", "corridor:Corridor-v0", "--algorithm", "a2c")
    shell("retrain", *what, "--set", "total_timesteps=40000", "--wait", "--timeout", "100s")
    return shell
