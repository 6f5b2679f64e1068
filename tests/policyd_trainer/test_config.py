"""What decides a run is validated before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from policyd.errors import InvalidArgument
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.presets.general import TUNED


def resolve(algorithm: str = "a2c", env_id: str = "CartPole-v1", **settings: str) -> TrainingConfig:
    return resolve_config("cartpole", env_id, algorithm, 0, settings)


def test_settings_are_json_on_top_of_the_preset() -> None:
    """A setting's value is JSON, or else a string.

    Other settings come from the preset.
    """
    config = resolve(gamma="0.5", hidden_sizes="[8, 4]", activation="tanh", max_grad_norm="null")
    preset = TUNED["CartPole-v1", "a2c"].settings
    assert (config.gamma, config.hidden_sizes, config.activation) == (0.5, (8, 4), "tanh")
    assert config.max_grad_norm is None
    assert config.n_envs == preset["n_envs"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gamma", "1.5"),
        ("gamma", "NaN"),
        ("gama", "0.9"),
        ("n_envs", "0"),
        ("hidden_sizes", "[0]"),
        ("activation", "gelu"),
        ("total_timesteps", "many"),
        ("preset", "best"),
        ("seed", "1"),
        ("critic_gradient", "full"),
        ("hidden_sizes", "[" * 100_000),
        ("init_from", "../1"),
        ("init_from", "\0"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str) -> None:
    """A wrong setting gives InvalidArgument with the field's path."""
    with pytest.raises(InvalidArgument) as caught:
        resolve(**{name: value, "gae_lambda": "0.9"})
    assert [v.field for v in caught.value.violations] == [f"settings[{name}]"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("total_timestep", "1", "no such setting; did you mean total_timesteps?"),
        ("quux", "1", "no such setting"),
        ("gamma", "2", "got 2, expected less than or equal to 1"),
        ("activation", "gelu", "got 'gelu', expected 'relu' or 'tanh'"),
    ],
)
def test_what_is_wrong_is_said_once(name: str, value: str, told: str) -> None:
    """The description says what came, what was expected, and which name may have been meant."""
    with pytest.raises(InvalidArgument) as caught:
        resolve(**{name: value})
    assert [v.description for v in caught.value.violations] == [told]


@pytest.mark.parametrize("engine", [{"seeds": "2"}, {"devices": "2"}, {"device_env": "mine:Env"}])
@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("rollout_workers", {"rollout_workers": "1"}),
        ("critic_gradient", {"critic_gradient": "full", "gae_lambda": "0"}),
        (None, {"algorithm": "reinforce"}),
    ],
)
def test_what_the_device_engine_does_not_learn_is_refused(
    field: str | None, settings: dict[str, str], engine: dict[str, str]
) -> None:
    """The setting is refused by name before the run.

    None in the table means the setting that asks for the engine.
    """
    with pytest.raises(InvalidArgument) as caught:
        resolve(**{**settings, **engine})
    assert [v.field for v in caught.value.violations] == [f"settings[{field or next(iter(engine))}]"]


def test_a_population_learns_by_a_preset_with_workers() -> None:
    """LunarLander's row has `auto` workers. The device engine has none, and accepts the row."""
    config = resolve_config("p", "LunarLander-v3", "a2c", 0, {"seeds": "2"})
    assert (config.rollout_workers, config.needs_device_engine) == ("auto", True)


def test_devices_share_the_environments_evenly() -> None:
    """A number of environments that cannot be divided is refused. One that can is accepted."""
    assert resolve(devices="2", n_envs="6").n_envs == 6
    with pytest.raises(InvalidArgument, match=r"settings\[n_envs\]"):
        resolve(devices="4", n_envs="6")


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("policy", ("../up", "CartPole-v1", "a2c", 0)),
        ("env_id", ("p", "", "a2c", 0)),
        ("env_id", ("p", "corridor:Corridor\0-v0", "a2c", 0)),
        ("algorithm", ("p", "CartPole-v1", "ppo", 0)),
        ("seed", ("p", "CartPole-v1", "a2c", -1)),
    ],
)
def test_wrong_identity_is_named(field: str, arguments: tuple[str, str, str, int]) -> None:
    """Policy, environment, algorithm and seed are checked like settings, by their own names."""
    with pytest.raises(InvalidArgument) as caught:
        resolve_config(*arguments, {})
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize("algorithm", ["reinforce", "a2c"])
def test_course_form(algorithm: str) -> None:
    """The preset `course` has one environment and the course's networks.

    It does not bootstrap at time limits.
    """
    config = resolve(algorithm, preset="course")
    assert (config.n_envs, config.n_steps, config.episodes_per_update) == (1, 1, 1)
    assert config.truncation == "terminate"
    assert (config.hidden_sizes, config.critic_hidden_sizes, config.activation) == ((64, 64), (64,), "relu")


def test_settings_round_trip() -> None:
    """The settings in a version's metadata give the same configuration again."""
    config = resolve(gamma="0.7", env_kwargs='{"sutton_barto_reward": true}')
    assert resolve(**config.settings()) == config
    assert json.loads(config.settings()["gamma"]) == 0.7


def test_wrappers_are_named() -> None:
    """A name alone is a wrapper without arguments. Other text than `module:Class` is refused."""
    short, full = "gymnasium.wrappers:FlattenObservation", {"entry_point": "a.b:C", "kwargs": {"n": 4}}
    config = resolve(wrappers=json.dumps([short, full]))
    assert [wrapper.model_dump() for wrapper in config.wrappers] == [
        {"entry_point": short, "kwargs": {}},
        full,
    ]
    assert resolve(**config.settings()) == config
    for wrong in ('["FlattenObservation"]', '[{"entry_point": "a:B", "args": 1}]', '["a:b(c)"]', "3"):
        with pytest.raises(InvalidArgument, match=r"settings\[wrappers\]"):
            resolve(wrappers=wrong)


def test_light_import() -> None:
    """Validating a request loads neither torch nor gymnasium."""
    code = "import sys, policyd_trainer.config; print({'torch', 'gymnasium', 'onnx'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
