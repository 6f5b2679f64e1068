"""The preset that a run takes for an environment without a row of its own."""

from __future__ import annotations

import json

import pytest

import tests.policyd_trainer.kinds  # registers the environments
from policyd_trainer.config import resolve_config
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.runs.fitting import fitted

assert tests.policyd_trainer.kinds.LENGTH


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
    """Box actions, images and numbered states have presets; what the caller set stays as it is."""
    arguments = json.dumps({"actions": actions, "observations": observations})
    settings = {"env_kwargs": arguments, "gamma": "0.5"}
    config = fitted(resolve_config("p", "Kinds-v0", "a2c", 3, settings), settings)
    assert (config.preset, config.gamma, config.seed) == (preset, 0.5, 3)
    assert config.use_sde == (preset == "continuous")


def test_what_a_preset_adds_was_not_asked_for() -> None:
    """The budget of judging may cut a preset's number of episodes, and not the caller's."""
    arguments = json.dumps({"actions": "discrete", "observations": "choice"})
    for more, asked in (({}, False), ({"evaluation_episodes": "1000"}, True)):
        settings = {"env_kwargs": arguments, **more}
        config = fitted(resolve_config("p", "Kinds-v0", "a2c", 3, settings), settings)
        assert config.evaluation_episodes == 1000
        assert ("evaluation_episodes" in config.model_fields_set) == asked
        assert Budget.of(config).is_asked == asked


def test_who_chose_a_preset_keeps_it() -> None:
    """Only `auto` looks at the spaces, and only where there is no row of the environment's own."""
    settings = {"preset": "default"}
    config = resolve_config("p", "Pendulum-v1", "a2c", 0, settings)
    assert fitted(config, settings) is config
    known = resolve_config("p", "Pendulum-v1", "a2c", 0, {})
    assert fitted(known, {}) is known
    assert known.use_sde
