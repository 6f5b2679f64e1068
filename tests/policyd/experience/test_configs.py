"""How a policy's experience may be configured."""

from __future__ import annotations

import pytest

from policy_api.v1.experience_pb2 import ExperienceConfig
from policyd.errors import InvalidArgument
from policyd.experience.configs import validate


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (ExperienceConfig(reward_low=-1e300), "config.reward_low"),
        (ExperienceConfig(reward_high=1e300), "config.reward_high"),
        (ExperienceConfig(reward_high=float("inf")), "config.reward_high"),
        (ExperienceConfig(reward_low=float("nan")), "config.reward_low"),
        (ExperienceConfig(reward_low=2, reward_high=1), "config.reward_low"),
    ],
)
def test_a_range_of_rewards_that_cannot_be_learned_from_is_refused(
    config: ExperienceConfig, field: str
) -> None:
    """Ranges are refused if not finite, empty, or if squared rewards overflow float32."""
    with pytest.raises(InvalidArgument) as caught:
        validate(config)
    assert [violation.field for violation in caught.value.violations] == [field]
    validate(ExperienceConfig(reward_low=-1e15, reward_high=1e15))
