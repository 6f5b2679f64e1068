"""The policy's own rules, and how old a version is."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.configs import ExperienceConfigs
from policyd.repository import AliasState
from policyd.repository.aliases import with_rollback, with_set
from policyd_trainer.experience import rules
from policyd_trainer.experience.rules import PolicyRules, Rules, ages


def test_a_policy_without_a_configuration_is_not_learned(tmp_path: Path) -> None:
    """Nobody has allowed it. The lag is 16 versions, and no share is limited."""
    assert PolicyRules(tmp_path, "p").now == Rules(False, 16, 0, 0)


def test_a_change_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration is read again when it is old."""
    monkeypatch.setattr(rules, "SECONDS", 0.0)
    current = PolicyRules(tmp_path, "p")
    assert not current.now.may_learn
    config = pb.ExperienceConfig(
        mode=pb.ExperienceConfig.LEARN, max_version_lag=3, max_caller_share=0.5, max_subject_share=0.25
    )
    ExperienceConfigs(tmp_path).change(pb.SetExperienceConfigRequest(policy="p", config=config))
    assert current.now == Rules(True, 3, 0.5, 0.25)


def test_age_counts_what_the_alias_named_since() -> None:
    """The gate refused versions 2 and 4: version 1 is two champions old, and not four versions."""
    state = AliasState("p")
    for version in (1, 3, 5):
        state = with_set(state, "champion", version, actor="", reason="")
    state = with_set(state, "canary", 4, actor="", reason="")
    age = ages(state, "champion")
    assert [age(version) for version in (1, 2, 3, 4, 5, 6)] == [2, 2, 1, 1, 0, 0]
    back = ages(with_rollback(state, "champion", actor="", reason=""), "champion")
    assert [back(version) for version in (1, 3, 5)] == [1, 0, 0]
