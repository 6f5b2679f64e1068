"""Which row of settings a run gets, and that every row is valid."""

from __future__ import annotations

import pytest

from policyd.errors import InvalidArgument
from policyd_trainer import presets
from policyd_trainer.config import resolve_config
from policyd_trainer.presets.general import COURSE, DEFAULT, TUNED
from policyd_trainer.presets.spaces import TUNED_CONTINUOUS

ENVIRONMENTS = sorted({env_id for env_id, _ in (*TUNED, *TUNED_CONTINUOUS)} | {"Unheard-v0"})


@pytest.mark.parametrize("preset", presets.NAMES)
@pytest.mark.parametrize("algorithm", presets.ALGORITHMS)
@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_every_preset_is_valid(env_id: str, algorithm: str, preset: str) -> None:
    """Every row makes a configuration with exactly the row's values."""
    config = resolve_config("policy", env_id, algorithm, 0, {"preset": preset})
    for name, value in presets.find(env_id, algorithm, preset).items():
        wanted = tuple(value) if isinstance(value, list) else value
        assert getattr(config, name) == wanted, name


def test_auto_takes_the_environments_own_row() -> None:
    """A tuned environment gets its row, with discrete or continuous actions.

    Any other environment gets the default.
    """
    assert presets.find("CartPole-v1", "a2c") == TUNED["CartPole-v1", "a2c"].settings
    assert presets.find("Pendulum-v1", "a2c") == TUNED_CONTINUOUS["Pendulum-v1", "a2c"].settings
    assert presets.find("Unheard-v0", "a2c") == DEFAULT["a2c"].settings
    assert [presets.has_row(env_id, "a2c") for env_id in ("Pendulum-v1", "Unheard-v0")] == [True, False]


def test_a_named_preset_beats_the_environments_row() -> None:
    """`course` and `default` are the same for every environment."""
    for env_id in ENVIRONMENTS:
        assert presets.find(env_id, "reinforce", "course") == COURSE["reinforce"].settings
        assert presets.find(env_id, "reinforce", "default") == DEFAULT["reinforce"].settings


def test_every_row_says_where_it_came_from() -> None:
    """The source of each value can be traced."""
    for row in (*TUNED.values(), *TUNED_CONTINUOUS.values(), *DEFAULT.values(), *COURSE.values()):
        assert len(row.source) > 10


@pytest.mark.parametrize(
    ("field", "algorithm", "name"), [("algorithm", "ppo", "auto"), ("settings[preset]", "a2c", "best")]
)
def test_what_is_not_there_is_named(field: str, algorithm: str, name: str) -> None:
    """The error for a wrong name lists the right ones."""
    with pytest.raises(InvalidArgument) as raised:
        presets.find("CartPole-v1", algorithm, name)
    assert raised.value.violations[0].field == field
