"""How a policy's experience may be configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_api.v1.experience_pb2 import ExperienceConfig, SetExperienceConfigRequest
from policyd.errors import InvalidArgument
from policyd.experience.configs import KEPT_CHANGES, ExperienceConfigs, validate


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


def test_the_history_has_an_end(tmp_path: Path) -> None:
    """The last changes are kept. A change with a text that is too long is refused."""
    configs = ExperienceConfigs(tmp_path)
    for number in range(KEPT_CHANGES + 2):
        configs.change(SetExperienceConfigRequest(policy="p", actor="ann", reason=str(number)))
    history = configs.read("p").history
    assert [history[0].reason, history[-1].generation] == ["2", KEPT_CHANGES + 2]
    assert len(history) == KEPT_CHANGES
    for actor, reason in (("a" * 1025, ""), ("", "r" * 1025)):
        with pytest.raises(InvalidArgument, match="got 1025 characters, expected at most 1024"):
            configs.change(SetExperienceConfigRequest(policy="p", actor=actor, reason=reason))
    assert configs.read("p").generation == KEPT_CHANGES + 2
