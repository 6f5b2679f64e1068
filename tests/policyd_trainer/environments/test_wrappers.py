"""Wrappers that a setting names, around the environments of a run."""

from __future__ import annotations

import json

import pytest

from policyd.errors import InvalidArgument
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import inspect, make_environments
from policyd_trainer.environments.ordinary import OrdinaryEnvironments


def _config(*wrappers: object) -> TrainingConfig:
    return resolve_config("p", "CartPole-v1", "a2c", 0, {"wrappers": json.dumps(wrappers)})


def test_the_first_is_innermost() -> None:
    """Four frames are stacked and then flattened. A wrapped environment is stepped one by one."""
    stacked = {"entry_point": "gymnasium.wrappers:FrameStackObservation", "kwargs": {"stack_size": 4}}
    config = _config(stacked, "gymnasium.wrappers:FlattenObservation")
    info = inspect(config)
    assert info.encoder.shape == (16,)
    assert info.max_episode_steps == 500
    environments = make_environments(config, info, 2)
    assert isinstance(environments, OrdinaryEnvironments)
    assert environments.reset(3).shape == (2, 16)
    environments.close()


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        ("no_module:Wrapper", "no_module"),
        ("gymnasium.wrappers:NoWrapper", "NoWrapper"),
        ({"entry_point": "gymnasium.wrappers:TimeLimit", "kwargs": {"seconds": 1}}, "seconds"),
        ("gymnasium.wrappers:ResizeObservation", "TypeError"),
    ],
)
def test_what_does_not_fit_is_named(wrapper: object, message: str) -> None:
    """If module, class or argument is wrong, the error names setting, wrapper and reason."""
    with pytest.raises(InvalidArgument, match=message) as refused:
        inspect(_config(wrapper))
    assert refused.value.violations[0].field == "settings[wrappers]"
