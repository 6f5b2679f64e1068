"""The table of what the presets reach."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.training.quality import main

TINY = ("--task", "CartPole", "--seed", "7", "--set", "evaluation_episodes=2")


def test_a_failed_run_fails_the_command_and_is_run_again(tmp_path: Path) -> None:
    """A row of an error is no result. The next command repeats it, and appends the new one."""
    output = tmp_path / "quality.jsonl"
    broken = (*TINY, "--set", "total_timesteps=none", "--output", str(output))
    for runs in (1, 2):
        result = CliRunner().invoke(main, broken)
        assert result.exit_code == 1
        assert "1 of 1 runs failed" in result.output
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert [sorted(row) for row in rows] == [["cpu", "error", "key", "seconds"]] * runs


def test_a_run_that_succeeded_is_not_run_again(tmp_path: Path) -> None:
    """It stays, also beside an earlier failure of the same row."""
    output = tmp_path / "quality.jsonl"
    key = ["CartPole", 7, "evaluation_episodes=2"]
    rows = [
        {"key": key, "seconds": 1.0, "cpu": 1.0, "error": "killed"},
        {"key": key, "seconds": 2.0, "cpu": 2.0, "greedy": 500.0, "sampled": 499.0},
    ]
    before = "".join(json.dumps(row) + "\n" for row in rows)
    output.write_text(before)
    result = CliRunner().invoke(main, (*TINY, "--output", str(output)))
    assert result.exit_code == 0
    assert "500 / 499" in result.output
    assert output.read_text() == before
