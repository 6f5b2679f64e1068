"""The pipelines that we ship, run as they stand: the GitHub workflow's steps and the shell script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from policyctl.exits import Exit

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/retrain.yml"
# Learns for a moment only: what is tested is the pipeline.
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


def test_the_workflow_is_linted() -> None:
    """Actionlint finds nothing."""
    actionlint = str(Path(sys.executable).with_name("actionlint"))
    done = subprocess.run([actionlint, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _run_workflow(folder: Path, config: Path) -> dict[str, int]:
    """Each step's exit code by name; after a failure only steps that always run, as GitHub does it."""
    values = {"inputs.config": str(config), "github.event.before": ""}
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
    with log.open("ab") as output:  # a file: the stack keeps it open
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


@pytest.mark.timeout(300)  # a stack and a training on a shared machine
@pytest.mark.parametrize(
    ("floor", "code", "outcome"), [(501, Exit.GATE_REFUSED, "gate_refused"), (1, Exit.OK, "promoted")]
)
def test_the_workflows_steps_run_as_they_stand(
    tmp_path: Path, floor: float, code: Exit, outcome: str
) -> None:
    """Only the retraining fails, where the gate refuses; what came out is posted and kept in any case."""
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


def test_the_shell_script(tmp_path: Path) -> None:
    """The script for other CI systems leaves the same files and the same exit code, and no process."""
    out = tmp_path / "out"
    done = subprocess.run(
        [str(ROOT / "examples/ci/retrain.sh"), str(out), str(_config(tmp_path, floor=1))],
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable, "STACK": str(tmp_path / "stack")},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((out / "tiny.json").read_text())["outcome"] == "promoted"
    assert (out / "tiny" / "model.onnx").exists()
    assert "both stopped" in (out / "stack.log").read_text()
