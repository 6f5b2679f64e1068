"""The report of a published version: drawn after it, once, from what the version holds."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from policyd.errors import NotFound
from policyd.repository import ModelRepository
from policyd_trainer.report.command import ensure_report, report
from policyd_trainer.runs.command import train
from tests.waiting import until

SMALL = ["total_timesteps=1000", "evaluation_episodes=5", "candidates=1", "selection_episodes=2"]
FILES = {"report.html", "learning_curve.png", "returns.png", "actions.png", "episode.gif"}


def run(repository: Path, *arguments: str) -> list[str]:
    settings = [part for pair in SMALL for part in ("--set", pair)]
    line = ["--policy", "p", "--env", "CartPole-v1", "--repository", str(repository), *settings]
    return [*line, "--progress", "none", "--promote", *arguments]


def test_a_run_leaves_what_its_report_needs(tmp_path: Path) -> None:
    """The command draws all pictures from the published files. A second call draws nothing."""
    assert CliRunner().invoke(train, run(tmp_path, "--no-report")).exit_code == 0
    arguments = ["--repository", str(tmp_path), "--policy", "p", "--version", "1"]
    done = CliRunner().invoke(report, arguments)
    assert done.exit_code == 0, done.output
    path = Path(done.output.strip())
    assert {file.name for file in path.parent.iterdir()} >= FILES
    written = path.stat().st_mtime_ns
    assert "the first champion" in path.read_text()
    with ThreadPoolExecutor() as pool:
        again = list(pool.map(lambda _: ensure_report(ModelRepository(tmp_path), "p", 1), range(3)))
    assert again == [str(path)] * 3
    assert path.stat().st_mtime_ns == written
    ModelRepository(tmp_path).verify("p", 1)
    curve = json.loads((path.parent / "learning_curve.json").read_bytes())
    assert curve[-1]["env_steps"] >= 1000
    assert CliRunner().invoke(report, [*arguments[:-1], "2"]).exit_code == 1


def test_a_run_has_its_report_drawn_by_a_process_of_its_own(tmp_path: Path) -> None:
    """`train` ends with its result, and the report follows."""
    command = [sys.executable, "-m", "policyd_trainer", "train", *run(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    version = ModelRepository(tmp_path).read("p", 1)
    drawn = tmp_path / version.path / "report.html"
    until(drawn.exists, lambda: "the report was never drawn")
    assert "p version 1: a2c on " in drawn.read_text()


def test_there_is_no_report_of_nothing(tmp_path: Path) -> None:
    """The error names the version that does not exist."""
    with pytest.raises(NotFound, match="no policy 'p'"):
        ensure_report(ModelRepository(tmp_path), "p", 1)


def test_reports_link_to_each_other(tmp_path: Path) -> None:
    """A report links to the version before it, whose report then links back."""
    for seed in ("0", "1"):
        assert CliRunner().invoke(train, run(tmp_path, "--no-report", "--seed", seed)).exit_code == 0
    repository = ModelRepository(tmp_path)
    ensure_report(repository, "p", 2)  # finds no report to change
    first, second = (Path(ensure_report(repository, "p", version)) for version in (1, 2))
    assert 'href="../2/report.html"' in first.read_text()
    assert 'href="../1/report.html"' in second.read_text()
    assert CliRunner().invoke(train, run(tmp_path, "--no-report", "--seed", "2")).exit_code == 0
    assert "the newest version when this was drawn" in second.read_text()
    ensure_report(repository, "p", 3)
    assert 'href="../3/report.html"' in second.read_text()
    assert "the newest version when" not in second.read_text()


def test_what_draws_nothing_starts_nothing(tmp_path: Path) -> None:
    """Nothing to draw: no process for the parts is begun, and so none is left at the end."""
    command = ["report", "--repository", str(tmp_path), "--policy", "p", "--version", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "policyd_trainer", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["no report of p version 1: no policy 'p'; there are: none"]
