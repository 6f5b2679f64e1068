"""The search: real short trials in a real study file."""

import json
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from trainer.config import resolve_config
from trainer.tuning.command import tune
from trainer.tuning.space import suggest
from trainer.tuning.study import open_study
from trainer.tuning.trials import Task

SHORT = ("total_timesteps=1500", "selection_episodes=2", "hidden_sizes=[8]", "critic_hidden_sizes=[8]")


def run(path: Path, *arguments: str) -> object:
    pairs = [word for pair in SHORT for word in ("--set", pair)]
    command = ["--env", "CartPole-v1", "--study", str(path), *pairs, *arguments]
    result = CliRunner().invoke(tune, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_study_finds_settings_and_goes_on_in_its_file(tmp_path: Path, algorithm: str) -> None:
    """Two trials, then one more by a second command: three in the file, the best known."""
    path = tmp_path / "studies" / "tuning.db"
    run(path, "--algorithm", algorithm, "--trials", "2")
    summary = run(path, "--algorithm", algorithm, "--trials", "1")
    assert isinstance(summary, dict)
    assert summary["trials"] == 3
    assert 1 <= summary["best"]["return"] <= 500
    study = open_study(path, Task("CartPole-v1", algorithm, {}))
    assert [trial.number for trial in study.trials] == [0, 1, 2]


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_everything_that_is_tried_is_a_valid_configuration(algorithm: str) -> None:
    """Any point of the space resolves to a configuration of that algorithm."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(50):
        settings = suggest(study.ask(), algorithm)
        assert resolve_config("tuning", "CartPole-v1", algorithm, 0, settings).algorithm == algorithm


def test_wrong_environment_is_one_readable_line(tmp_path: Path) -> None:
    """An environment that is not there ends the command with its name and no traceback."""
    arguments = ["--env", "NoSuchEnv-v0", "--study", str(tmp_path / "tuning.db"), "--trials", "1"]
    result = CliRunner().invoke(tune, arguments)
    assert result.exit_code == 1
    assert "NoSuchEnv-v0" in result.output
    assert "Traceback" not in result.output


def test_setting_without_a_value_is_refused(tmp_path: Path) -> None:
    """`--set gamma` says what is wanted."""
    arguments = ["--env", "CartPole-v1", "--study", str(tmp_path / "tuning.db"), "--set", "gamma"]
    result = CliRunner().invoke(tune, arguments)
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output
