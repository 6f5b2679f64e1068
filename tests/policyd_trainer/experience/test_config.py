"""The settings of a continuous job."""

from __future__ import annotations

import pytest

from policyd.errors import InvalidArgument
from policyd_trainer.experience.config import LearnConfig


def test_settings_are_split_by_whose_they_are() -> None:
    """The job's own are parsed. The algorithm's are passed on as they are."""
    own, rest = LearnConfig.split({"batch_steps": "64", "correction": "clip", "gamma": "0.9"})
    assert (own.batch_steps, own.correction, rest) == (64, "clip", {"gamma": "0.9"})


@pytest.mark.parametrize("text", ["many", "0", "[" * 100_000])
def test_a_wrong_value_is_named(text: str) -> None:
    """Brackets that are nested too deeply are a wrong value like any other."""
    with pytest.raises(InvalidArgument, match="settings\\[batch_steps\\]"):
        LearnConfig.split({"batch_steps": text})
