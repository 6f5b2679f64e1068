"""The allow-list of environments."""

import sys

import pytest

from policyd import errors
from policyd_trainer.service.environments import AllowList


def test_gymnasiums_own_environments_are_the_default() -> None:
    """By default Gymnasium's own environments are allowed, without those of other modules.

    The shims that can make any other environment are left out.
    """
    AllowList().check("CartPole-v1")
    AllowList().check("LunarLander-v3")
    for env_id in ("json:CartPole-v1", "GymV26Environment-v0"):
        with pytest.raises(errors.PermissionDenied, match=env_id):
            AllowList().check(env_id)


def test_patterns_allow_what_they_name() -> None:
    """Patterns allow nothing else, and a check imports no module."""
    allowed = AllowList(["mine.*:Corridor-v*", "Acrobot-v1"])
    allowed.check("mine.environments:Corridor-v3")
    allowed.check("Acrobot-v1")
    for env_id in ("mine.environments:Other-v0", "CartPole-v1", "os:Corridor-v0"):
        with pytest.raises(errors.PermissionDenied):
            allowed.check(env_id)
    assert "mine" not in sys.modules


def test_gymnasiums_own_beside_patterns() -> None:
    """`gymnasium` on the list means its environments. Without it, patterns replace them."""
    allowed = AllowList(["gymnasium", "mine:*"])
    for env_id in ("CartPole-v1", "mine:Corridor-v0"):
        allowed.check(env_id)
    with pytest.raises(errors.PermissionDenied, match=r"allow-list \(gymnasium, mine:\*\)"):
        allowed.check("os:CartPole-v1")


@pytest.mark.parametrize("env_id", ["", "Nope-v0", "CartPole-v99", "CartPole", "Cart Pole!"])
def test_unknown_names_are_invalid(env_id: str) -> None:
    """The error names the field and has Gymnasium's message."""
    with pytest.raises(errors.InvalidArgument, match=r"spec\.env_id"):
        AllowList().check(env_id)


def test_wrappers_need_leave_too() -> None:
    """Gymnasium's wrappers that only change numbers are allowed.

    A wrapper that writes files or runs other code is named.
    """
    AllowList().check_wrappers(["gymnasium.wrappers:FlattenObservation"])
    AllowList(["mine:*"]).check_wrappers(["mine:Seen", "gymnasium.wrappers:FrameStackObservation"])
    for allowed, wrapper in (
        (AllowList(), "gymnasium.wrappers:RecordVideo"),
        (AllowList(), "mine:Seen"),
        (AllowList(["mine:*"]), "os:system"),
    ):
        with pytest.raises(errors.PermissionDenied, match=wrapper):
            allowed.check_wrappers([wrapper])
