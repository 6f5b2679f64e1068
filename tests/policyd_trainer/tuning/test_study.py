"""The search: real short trials in a real study file."""

import json
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from policyd_trainer.config import resolve_config
from policyd_trainer.tuning.command import tune
from policyd_trainer.tuning.space import suggest
from policyd_trainer.tuning.study import open_study
from policyd_trainer.tuning.trials import Task

SHORT = ("total_timesteps=1500", "selection_episodes=2", "hidden_sizes=[8]", "critic_hidden_sizes=[8]")


def run(path: Path, *arguments: str) -> object:
    pairs = [word for pair in SHORT for word in ("--set", pair)]
    command = ["--env", "CartPole-v1", "--study", str(path), *pairs, *arguments]
    result = CliRunner().invoke(tune, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_study_finds_settings_and_goes_on_in_its_file(tmp_path: Path, algorithm: str) -> None:
    """After two trials, a command for three runs one more and shows the best one known.

    The next command has nothing to do.
    """
    path = tmp_path / "studies" / "tuning.db"
    run(path, "--algorithm", algorithm, "--trials", "2")
    summary = run(path, "--algorithm", algorithm, "--trials", "3")
    assert run(path, "--algorithm", algorithm, "--trials", "3") == summary
    assert isinstance(summary, dict)
    assert summary["trials"] == 3
    assert 1 <= summary["best"]["return"] <= 500
    settings = {name: json.dumps(value) for name, value in summary["best"]["settings"].items()}
    assert resolve_config("p", "CartPole-v1", algorithm, 0, settings).hidden_sizes == (8,)
    study = open_study(path, Task("CartPole-v1", algorithm, {}))
    assert [trial.number for trial in study.trials] == [0, 1, 2]
    assert len({str(trial.params) for trial in study.trials}) == 3


def test_an_interrupted_study_goes_on(tmp_path: Path) -> None:
    """SIGINT during a trial gives exit code 130.

    The interrupted trial does not count, and is run again.
    """
    path, env = tmp_path / "tuning.db", ["--env", "Misbehaving-v0", "--set"]
    run(path, *env, 'env_kwargs={"kind": "well"}', "--trials", "1")
    line = [*env, 'env_kwargs={"kind": "interrupt"}', "--trials", "2", "--study", str(path)]
    interrupted = CliRunner().invoke(tune, line)
    assert interrupted.exit_code == 130
    assert "the same command goes on" in interrupted.output
    summary = run(path, *env, 'env_kwargs={"kind": "well"}', "--trials", "2")
    assert isinstance(summary, dict)
    assert summary["trials"] == 2
    trials = open_study(path, Task("Misbehaving-v0", "a2c", {})).trials
    assert [trial.state.name for trial in trials if trial.state.name == "FAIL"] == ["FAIL"]


@pytest.mark.parametrize(
    ("algorithm", "env_id", "name", "value"),
    [("a2c", "BipedalWalker-v3", "clip_range", "0.2"), ("reinforce", "Pendulum-v1", "use_sde", "true")],
)
def test_trials_take_the_preset_that_a_run_takes(
    tmp_path: Path, algorithm: str, env_id: str, name: str, value: str
) -> None:
    """Continuous actions without a row use the preset for these. The study says what was tried."""
    path = tmp_path / "tuning.db"
    run(path, "--env", env_id, "--algorithm", algorithm, "--trials", "1")
    (trial,) = open_study(path, Task(env_id, algorithm, {})).trials
    settings = trial.user_attrs["settings"]
    assert (settings["preset"], settings[name]) == ('"continuous"', value)


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_everything_that_is_tried_is_a_valid_configuration(algorithm: str) -> None:
    """Any point of the space gives a configuration of that algorithm."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(50):
        settings = suggest(study.ask(), algorithm)
        assert resolve_config("tuning", "CartPole-v1", algorithm, 0, settings).algorithm == algorithm


def test_wrong_environment_is_one_readable_line(tmp_path: Path) -> None:
    """An unknown environment ends the command with its name and without a traceback."""
    arguments = ["--env", "NoSuchEnv-v0", "--study", str(tmp_path / "tuning.db"), "--trials", "1"]
    result = CliRunner().invoke(tune, arguments)
    assert result.exit_code == 1
    assert "NoSuchEnv-v0" in result.output
    assert "Traceback" not in result.output


def test_setting_without_a_value_is_refused(tmp_path: Path) -> None:
    """The error for `--set gamma` says what is expected."""
    arguments = ["--env", "CartPole-v1", "--study", str(tmp_path / "tuning.db"), "--set", "gamma"]
    result = CliRunner().invoke(tune, arguments)
    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output
