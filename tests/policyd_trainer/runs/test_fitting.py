"""The preset that a run takes for an environment without a row of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tests.policyd_trainer.kinds  # registers the environments
from policyd.errors import InvalidArgument
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.runs.fitting import fitted

assert tests.policyd_trainer.kinds.LENGTH
TESTS = Path(__file__).parents[1]


@pytest.fixture
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module `awkward` can be imported by its name."""
    monkeypatch.syspath_prepend(TESTS)


@pytest.mark.parametrize(
    ("actions", "observations", "preset"),
    [
        ("discrete", "vector", "auto"),
        ("discrete", "choice", "tabular"),
        ("discrete", "tuple", "auto"),
        ("branches", "mixed", "images"),
        ("box", "choice", "continuous"),
        ("discrete", "image", "images"),
        ("box", "image", "images"),
    ],
)
def test_the_spaces_choose_the_preset(actions: str, observations: str, preset: str) -> None:
    """Box actions, images and numbered states have presets. The caller's settings stay."""
    arguments = json.dumps({"actions": actions, "observations": observations})
    settings = {"env_kwargs": arguments, "gamma": "0.5"}
    config = fitted(resolve_config("p", "Kinds-v0", "a2c", 3, settings), settings)
    assert (config.preset, config.gamma, config.seed) == (preset, 0.5, 3)
    assert (config.clip_range is not None) == (preset == "continuous")


def test_what_a_preset_adds_was_not_asked_for() -> None:
    """The evaluation budget may cut a preset's number of episodes, but not the caller's."""
    arguments = json.dumps({"actions": "discrete", "observations": "choice"})
    for more, asked in (({}, False), ({"evaluation_episodes": "1000"}, True)):
        settings = {"env_kwargs": arguments, **more}
        config = fitted(resolve_config("p", "Kinds-v0", "a2c", 3, settings), settings)
        assert config.evaluation_episodes == 1000
        assert ("evaluation_episodes" in config.model_fields_set) == asked
        assert Budget.of(config).is_asked == asked


def test_who_chose_a_preset_keeps_it() -> None:
    """Only `auto` inspects the spaces, and only if the environment has no row of its own."""
    settings = {"preset": "default"}
    config = resolve_config("p", "Pendulum-v1", "a2c", 0, settings)
    assert fitted(config, settings) is config
    known = resolve_config("p", "Pendulum-v1", "a2c", 0, {})
    assert fitted(known, {}) is known
    assert known.use_sde


@pytest.mark.usefixtures("awkward")
@pytest.mark.parametrize(("names_by_number", "preset"), [(False, "default"), (True, "continuous")])
def test_where_only_one_can_live_one_learns(names_by_number: bool, preset: str) -> None:
    """A single environment collects as many steps as several would by the preset that fits.

    A caller who set several gets the reason why not.
    """
    given = {"env_kwargs": json.dumps({"names_by_number": names_by_number})}
    config = fitted(resolve_config("p", "awkward:OneInstance-v0", "a2c", 3, given), given)
    plain = resolve_config("p", "awkward:OneInstance-v0", "a2c", 3, {"preset": preset})
    assert (config.n_envs, config.n_steps) == (1, plain.n_envs * plain.n_steps)
    settings = {"n_envs": "2"}
    asked = resolve_config("p", "awkward:OneInstance-v0", "a2c", 3, settings)
    with pytest.raises(InvalidArgument, match=r"only one .* can exist at a time .*port 5005 is taken"):
        fitted(asked, settings)


@pytest.mark.usefixtures("awkward")
def test_an_environment_that_cannot_be_made_again_has_failed() -> None:
    """If a second environment cannot be made, the environment has failed, not the settings."""
    settings = {"n_envs": "2"}
    with pytest.raises(EnvironmentFailed, match=r"constructor.*the device is used up"):
        fitted(resolve_config("p", "awkward:OnlyOnce-v0", "a2c", 3, settings), settings)
