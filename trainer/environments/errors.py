"""What can go wrong in an environment that somebody else wrote."""

from __future__ import annotations

from policy_api.errors import FailedPrecondition


class EnvironmentFailed(FailedPrecondition):
    """The environment raised, or broke Gymnasium's contract."""

    reason = "ENVIRONMENT_FAILED"


class EnvironmentNeverEnds(EnvironmentFailed):
    """An episode ran longer than `episode_step_limit`."""

    reason = "ENVIRONMENT_NEVER_ENDS"


class EnvironmentHangs(EnvironmentFailed):
    """A call into the environment took longer than `step_timeout`."""

    reason = "ENVIRONMENT_HANGS"


def failure(where: str, error: Exception) -> EnvironmentFailed:
    """What became of a call into an environment."""
    if isinstance(error, EnvironmentHangs):
        return EnvironmentHangs(f"{where}: {error.message}")
    return EnvironmentFailed(f"{where} failed with {type(error).__name__}: {error}")
