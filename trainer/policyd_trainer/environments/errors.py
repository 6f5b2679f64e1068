"""What can go wrong in an environment that somebody else wrote."""

from __future__ import annotations

import traceback

from policyd.errors import FailedPrecondition

LONGEST = 500  # most characters of an environment's own error that are shown


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
    """The same error, with the place where it happened in its message."""
    return type(error)(f"{where}: {error.message}")


def shown(error: BaseException) -> str:
    """The text of an error from a user's code, whatever its own __str__ does."""
    try:
        text = repr(error)
    except BaseException:  # noqa: BLE001  the environment's code may raise anything
        return f"{type(error).__name__}, whose text cannot be had"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def is_raised_in(env_id: str, error: BaseException) -> bool:
    """Whether code in the environment's own package raised the error.

    The package is that of `package.module:EnvId`.
    """
    package = env_id.partition(":")[0].partition(".")[0] if ":" in env_id else ""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return bool(package) and name.partition(".")[0] == package
