"""How a run that failed is told: to people, to the job's supervisor and to the guardian."""

from __future__ import annotations

import contextlib
import logging

from policy_api.v1.training_pb2 import TrainingFailure
from policyd.errors import Internal
from policyd.quoting import escaped
from policyd_trainer.environments import meddling
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentHangs, is_raised_in, shown
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.runs.reporting import Reporter

STEP_TIMEOUT = 60.0  # seconds, if no setting says otherwise
LONGEST_MESSAGE = 10_000  # most characters of a failure's message
logger = logging.getLogger(__name__)


def report(reporter: Reporter, reason: str, message: str) -> int:
    """Reports a failure. Returns the exit code.

    `message` may contain an environment's own text: long, with several lines, and not UTF-8.
    """
    told = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}..."
    told = escaped(told.encode(errors="replace").decode())
    reporter.failure(TrainingFailure(reason=reason, message=told))
    BOARD.report(1)
    return 1


def report_unexpected(reporter: Reporter, env_id: str, error: Exception) -> int:
    """Reports an error that no code expected. Returns the exit code.

    It is an internal error, unless the environment has changed what the trainer's code uses.
    """
    changed = meddling.found()
    meddling.undo()
    with contextlib.suppress(Exception):  # an environment may have broken what logging needs
        logger.error("the run failed unexpectedly", exc_info=error)
    if changed:
        names = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        told = f"its code changed {names} for the whole process; the run then failed with {shown(error)}"
    elif is_raised_in(env_id, error):
        told = f"its code raised {shown(error)} where no call of it was expected: a hook or a callback"
    else:
        return report(reporter, Internal.reason, "internal error; see the log")
    return report(reporter, EnvironmentFailed.reason, f"{env_id}: {told}")


def watchdog_of(env_id: str, reporter: Reporter, seconds: float = STEP_TIMEOUT) -> Watchdog:
    """Ends the process when a call into the environment takes longer than `seconds`."""

    def last_words(message: str) -> None:
        reporter.failure(TrainingFailure(reason=EnvironmentHangs.reason, message=message))

    return Watchdog(seconds, env_id, last_words)
