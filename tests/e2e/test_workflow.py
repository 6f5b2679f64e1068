"""The pipelines that we ship, run as they are: the GitHub workflow's steps and the shell script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from policyd.cli.exits import Exit
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import ServerProcess

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/retrain.yml"
# The training is short, because the pipeline is tested.
CONFIG = """\
policy: cartpole
env: CartPole-v1
algorithm: a2c
settings: {{total_timesteps: 4000, evaluation_episodes: 10}}
promotion: {{min_return: {floor}, gate: {{criterion: always}}}}
"""


def _config(folder: Path, floor: float) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(CONFIG.format(floor=floor))
    return path


@pytest.mark.parametrize("workflow", sorted(WORKFLOW.parent.glob("*.yml")), ids=lambda path: path.stem)
def test_each_workflow_is_linted(workflow: Path) -> None:
    """Actionlint finds nothing."""
    actionlint = str(Path(sys.executable).with_name("actionlint"))
    done = subprocess.run([actionlint, str(workflow)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("event", "job", "script"),
    [("pull_request", "check", ".ci/run"), ("schedule", "nightly", ".ci/nightly")],
)
def test_the_workflow_runs_what_ci_is_here(event: str, job: str, script: str) -> None:
    """The workflow `ci` starts on the event and runs the script, which is executable."""
    workflow = yaml.load((WORKFLOW.parent / "ci.yml").read_text(), yaml.BaseLoader)  # keeps `on` as a word
    assert event in workflow["on"]
    assert f"'{event}'" in workflow["jobs"][job]["if"]
    assert script in [step.get("run") for step in workflow["jobs"][job]["steps"]]
    assert os.access(ROOT / script, os.X_OK)


def _run_workflow(folder: Path, config: Path) -> dict[str, int]:
    """Runs the steps. Returns the exit code of each by its name.

    After a failure only the steps with `always()` run, as on GitHub.
    """
    values = dict.fromkeys(("vars.POLICYD_PRODUCTION", "secrets.POLICYD_PRODUCTION_TOKEN"), "")
    values |= {"inputs.config": str(config), "github.event.before": "0" * 40}
    job: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["retrain"]
    environment = {
        name: re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], value)
        for name, value in job["env"].items()
    }
    files = {name: folder / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
    environment |= {name: str(path) for name, path in files.items()} | {"RUNNER_TEMP": str(folder)}
    codes: dict[str, int] = {}
    for step in job["steps"]:
        if "run" not in step or (any(codes.values()) and step.get("if") != "always()"):
            continue
        if files["GITHUB_ENV"].exists():
            lines = files["GITHUB_ENV"].read_text().splitlines()
            environment |= dict(line.split("=", 1) for line in lines)
        codes[step["name"]] = _run_step(step["run"], environment, folder / "step.log")
    return codes


def _run_step(script: str, environment: dict[str, str], log: Path) -> int:
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    with log.open("ab") as output:  # to a file, because the stack keeps it open
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            check=False,
            timeout=110,
        )
    return done.returncode


@pytest.mark.parametrize(
    ("floor", "code", "outcome"), [(501, Exit.GATE_REFUSED, "gate_refused"), (1, Exit.OK, "promoted")]
)
def test_the_workflows_steps_run_as_they_stand(
    tmp_path: Path, floor: float, code: Exit, outcome: str
) -> None:
    """If the gate refuses, only the retraining fails.

    The results are posted and kept in any case.
    """
    codes = _run_workflow(tmp_path, _config(tmp_path, floor))
    log = (tmp_path / "step.log").read_text()
    assert codes.pop("Retrain") == code, log
    assert set(codes.values()) == {0}, (codes, log)
    assert "## Retraining cartpole" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    out = tmp_path / "out"
    assert json.loads((out / "tiny.json").read_text())["outcome"] == outcome
    assert ET.parse(out / "tiny.xml").getroot().tag == "testsuites"
    kept = {path.name for path in (out / "tiny").iterdir()}
    assert {"model.onnx", "report.html", "learning_curve.png"} <= kept


@pytest.fixture
def production(tmp_path: Path) -> Iterator[tuple[ServerProcess, ModelRepository]]:
    """A server with a champion of its own."""
    repository = ModelRepository(tmp_path / "production")
    described = artifacts.metadata("cartpole")
    repository.publish("cartpole", {"model.onnx": artifacts.model(described, seed=0)}, metadata=described)
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    server = ServerProcess(tmp_path, repository.root)
    yield server, repository
    assert server.stop() == 0


def test_the_shell_script(tmp_path: Path, production: tuple[ServerProcess, ModelRepository]) -> None:
    """The script for other CI systems compares with production's champion.

    It copies the new champion to production. It leaves the same files and the same exit code as the
    workflow, and no process.
    """
    server, repository = production
    out = tmp_path / "out"
    done = subprocess.run(
        [str(ROOT / "examples/ci/retrain.sh"), str(out), str(_config(tmp_path, floor=1))],
        cwd=ROOT,
        env=os.environ
        | {"PYTHON": sys.executable, "STACK": str(tmp_path / "stack"), "PRODUCTION": server.address},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((out / "tiny.json").read_text())["outcome"] == "promoted"
    assert {"model.onnx", "report.html"} <= {path.name for path in (out / "tiny").iterdir()}
    state = repository.aliases("cartpole")
    assert state.aliases["champion"] == 2
    assert "imported" in state.history[-1].reason
    assert json.loads((out / "tiny.json").read_text())["version"] == 2  # version 1 is production's
    assert "both stopped" in (out / "stack.log").read_text()
