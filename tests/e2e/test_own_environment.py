"""An environment of a user's own.

Packaged, installed, trained, served, played, asked by other clients.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from examples.stack import Stack

ROOT = Path(__file__).parents[2]
ENV = "corridor:Corridor-v0"


def test_it_is_played_through_the_server(corridor: Any) -> None:
    """The learned policy walks to the goal. A random walk loses several times as much."""
    played = json.loads(corridor("--json", "play", "--policy", "corridor", "--episodes", "50"))
    assert played["version"] == 1
    assert played["mean_return"] > -0.5


def test_an_answer_is_verified_from_its_receipt(corridor: Any, tmp_path: Path) -> None:
    """What the server sampled is recomputed from the receipt, bit for bit."""
    receipt = str(tmp_path / "receipt.json")
    rows = [f"{cell / 7 - 1:.6f},{goal}" for cell in range(15) for goal in (-1, 1)]
    corridor("act", "--policy", "corridor", "--seed", "11", "--receipt", receipt, *rows)
    assert corridor("verify", receipt).count("ok") == 3


def test_who_did_not_allow_it_does_not_import_it(stack: Stack, site: Path) -> None:
    """Without the allow-list the trainer refuses, because an import runs code."""
    program = str(Path(sys.executable).with_name("policyctl"))
    what = ("retrain", "--policy", "corridor", "--env", ENV, "--algorithm", "a2c")
    done = subprocess.run(
        [program, "--server", stack.server_address, *what], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "policyctl: ENV_NOT_ALLOWED" in done.stderr


def test_a_loop_of_ones_own(corridor: Any, site: Path) -> None:
    """The example client with a loop plays episodes, each with one version."""
    command = (sys.executable, "-m", "examples.clients.loop", "--server", corridor.address)
    done = subprocess.run(
        [*command, "--policy", "corridor", "--env", ENV],
        env=os.environ | {"PYTHONPATH": f"{site}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("version 1") == 3


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Code generated from the .proto files, in a folder of its own."""
    folder = tmp_path_factory.mktemp("stubs")
    protos = sorted(str(path) for path in (ROOT / "proto/policy_api/v1").glob("*.proto"))
    compile_protos = (sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}")
    outputs = (f"--python_out={folder}", f"--grpc_python_out={folder}")
    subprocess.run([*compile_protos, *outputs, *protos], check=True)
    return folder


def _from_protos(stubs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the client where grpc is installed and policyd is not.

    -S and -P keep out the editable install and the current folder.
    """
    variables = os.environ | {"PYTHONPATH": f"{stubs}:{sysconfig.get_path('purelib')}"}
    python = (sys.executable, "-S")
    no_policyd = subprocess.run(
        [*python, "-P", "-c", "import policyd"], env=variables, capture_output=True, check=False
    )
    assert b"ImportError" in no_policyd.stderr or b"ModuleNotFoundError" in no_policyd.stderr
    command = [*python, str(ROOT / "examples/clients/from_protos.py"), *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_a_client_from_the_protos_alone(corridor: Any, stubs: Path) -> None:
    """Stubs generated from the .proto files, with their comments, are enough to get a response."""
    done = _from_protos(stubs, corridor.address, "corridor", "0.5", "1")
    answer = json.loads(done.stdout)
    assert answer["version"] == 1
    assert sum(answer["action_probs"]) == pytest.approx(1, abs=1e-5)
    assert answer["action"] in (0, 1, 2)


def test_its_errors_are_plain_statuses(corridor: Any, stubs: Path) -> None:
    """A wrong shape gives INVALID_ARGUMENT with a message that names the field."""
    done = _from_protos(stubs, corridor.address, "corridor", "0.5")
    assert done.returncode == 1
    assert "INVALID_ARGUMENT: observations" in done.stderr
