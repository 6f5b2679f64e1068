"""What can go wrong in an environment that somebody else wrote."""

from __future__ import annotations

from policyd.errors import FailedPrecondition


class EnvironmentFailed(FailedPrecondition):
    """The environment raised, or broke Gymnasium's contract."""

    reason = "ENVIRONMENT_FAILED"


class EnvironmentNeverEnds(EnvironmentFailed):
    """An episode ran longer than `episode_step_limit`."""

    reason = "ENVIRONMENT_NEVER_ENDS"


class EnvironmentHangs(EnvironmentFailed):
    """A call into the environment took longer than `step_timeout`."""

    reason = "ENVIRONMENT_HANGS"


def at(where: str, error: EnvironmentFailed) -> EnvironmentFailed:
    """The same error, told with the place where it happened."""
    return type(error)(f"{where}: {error.message}")
