"""What users import from `policyd`: complete, typed in a wheel, and quick."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import policyd
from policyd import errors

ROOT = Path(__file__).parents[2]

PROGRAM = """\
import asyncio
from collections.abc import AsyncIterator

import numpy as np
from policyd import (
    Actions,
    AsyncPolicyClient,
    Credentials,
    InvalidArgument,
    PolicyClient,
    PolicydError,
    Promotion,
    TrainingJob,
    TrainingSpec,
    __version__,
)


def balance(client: PolicyClient) -> int:
    with client.stream(pin_version=True) as stream:
        chosen: Actions = stream.act(np.zeros((1, 4)), policy="cartpole", seed=7)
    version: int = chosen.version
    return version


def train(client: PolicyClient) -> TrainingJob:
    spec = TrainingSpec(policy="cartpole", env_id="CartPole-v1", promotion=Promotion(promote=True))
    return client.wait_for_training_job(client.create_training_job(spec).job_id, timeout=60)


async def follow(client: AsyncPolicyClient, job_id: str) -> AsyncIterator[float]:
    async for job in client.watch_training_job(job_id):
        yield job.progress.fraction


async def main() -> None:
    async with AsyncPolicyClient("unix:/run/policyd", credentials=Credentials(token="x")) as client:
        print((await client.act([[0.0, 0.1, 0.0, 0.1]], timeout=1.0)).action_probs, __version__)


try:
    with PolicyClient(timeout=5) as client:
        balance(client)
except InvalidArgument as error:
    print(error.violations[0].field)
except PolicydError as error:
    print(error.reason)
asyncio.run(main())
"""

WRONG = """\
from policyd import PolicyClient

PolicyClient().act([[0.0]], polcy="cartpole")
PolicyClient().get_policy(5)
PolicyClient().act([[0.0]]).actoins
"""


def test_everything_public_can_be_imported() -> None:
    """Each name of `__all__` exists and is listed for completion; so is every error of the tree."""
    assert {name: getattr(policyd, name) for name in policyd.__all__}
    assert set(policyd.__all__) <= set(dir(policyd))
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert kinds <= set(policyd.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        policyd.nothing  # noqa: B018  reading the attribute is the test


def test_an_error_needs_no_transport() -> None:
    """`from policyd import NotFound, Credentials` imports neither numpy nor grpc."""
    program = "import sys; from policyd import NotFound, Credentials, __version__; Credentials(token='x')\n"
    program += "sys.exit(str({'numpy', 'grpc', 'google.protobuf'} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_version_is_the_packages() -> None:
    """pip, the commands and the server give the same version."""
    assert importlib.import_module("importlib.metadata").version("policyd") == policyd.__version__


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the wheel.

    It has no dependencies, and nothing compiled.
    """
    folder = tmp_path_factory.mktemp("wheel")
    without_compiler = os.environ | {"CC": "/nowhere/cc", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = (sys.executable, "-m", "pip")
    build = (
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(folder / "sources"),
    )
    _copy_of_the_sources(folder / "sources")
    subprocess.run([*pip, *build], env=without_compiler, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    target = ("install", "-q", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel))
    subprocess.run([*pip, *target], env=without_compiler, check=True, capture_output=True)
    return folder / "site"


def _copy_of_the_sources(folder: Path) -> None:
    """A copy of what git tracks or would track, so that the build does not change the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    for name in names:
        if name.startswith(("policyd/", "proto/", "server/", "trainer/")) or "/" not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())


@pytest.mark.long
@pytest.mark.timeout(600)  # mypy reads all types of numpy
def test_a_users_program_is_checked_against_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`mypy --strict` accepts a program that uses the whole public interface.

    It finds a misspelt option and a wrong type.
    """
    _check_programs(tmp_path, PYTHONPATH=str(installed))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_users_program_is_checked_against_an_editable_install(tmp_path: Path) -> None:
    """The same holds in the environment that `make install` makes, outside the checkout."""
    _check_programs(tmp_path, PYTHONPATH="")


def _check_programs(folder: Path, **variables: str) -> None:
    (folder / "right.py").write_text(PROGRAM)
    (folder / "wrong.py").write_text(WRONG)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=")
    checked = subprocess.run(
        [*mypy, "right.py", "wrong.py"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": ""} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in checked.stdout.splitlines() if ": error: " in line]
    found = [(line.partition(":")[0], line.rpartition("[")[2]) for line in lines]
    assert found == [
        ("wrong.py", "call-arg]"),
        ("wrong.py", "arg-type]"),
        ("wrong.py", "attr-defined]"),
    ], checked.stdout + checked.stderr


def test_the_wheel_is_what_is_checked(installed: Path, tmp_path: Path) -> None:
    """Python finds the wheel before the checkout, so the tests above check the wheel."""
    program = "import policyd; print(policyd.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installed)
    assert (installed / "policyd" / "py.typed").exists()
