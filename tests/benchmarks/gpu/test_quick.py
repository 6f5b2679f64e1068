"""The GPU benchmark runs to its end on a CPU, without packages that a GPU machine may lack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
MISSING = "gymnasium click grpc onnx onnxruntime rich yaml sqlalchemy matplotlib pytest jax"
PROGRAM = f"""
import runpy, sys

sys.modules.update(dict.fromkeys({MISSING.split()!r}))  # as if they were not installed
runpy.run_path("benchmarks/gpu/__main__.py", run_name="__main__")
"""


def test_quick_run_without_other_packages(tmp_path: Path) -> None:
    """Every cell has a figure or a reason; the checks hold; JSON and the chart are well formed."""
    command = [sys.executable, "-c", PROGRAM, "--quick", "--device", "cpu", "--out", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "There is no GPU here" in ran.stdout
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert content["machine"]["device"] == "CPU"
    assert [check["check"] for check in content["checks"] if check["holds"]] == [
        "devices agree",
        "devices agree, Pendulum",
        "rollouts draw anew",
    ]
    assert len(content["results"]) + len(content["not_run"]) == 12
    assert list(content["not_run"]) == ["JAX program N=64"]
    for name in ("CartPole N=64", "Pendulum N=64", "images N=4", "population of 3"):
        assert content["results"][name]["training"] > 0, name
    assert content["ratios"]["CPU engine"] > 0
    assert ElementTree.parse(tmp_path / "gpu.svg").getroot().tag.endswith("svg")


def test_it_ends_when_its_time_is_over(tmp_path: Path) -> None:
    """If the time ends before the first cell, the files are well formed and say what is missing."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--minutes", "0.1"]
    ran = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert content["results"] == {}
    assert len(content["not_run"]) == 13
    assert set(content["not_run"].values()) == {"the time was over"}
    assert ElementTree.parse(tmp_path / "gpu.svg").getroot().tag.endswith("svg")
