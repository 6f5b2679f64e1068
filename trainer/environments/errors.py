"""What can go wrong in an environment that somebody else wrote."""

from __future__ import annotations

from policy_api.errors import FailedPrecondition


class EnvironmentFailed(FailedPrecondition):
    """The environment raised, or broke Gymnasium's contract."""

    reason = "ENVIRONMENT_FAILED"


class EnvironmentNeverEnds(EnvironmentFailed):
    """An episode ran longer than `episode_step_limit`."""

    reason = "ENVIRONMENT_NEVER_ENDS"
