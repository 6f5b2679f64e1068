"""Following a training job through breaks of the connection: the decisions, without the waiting."""

from __future__ import annotations

import math
import time

from policy_api.v1.training_pb2 import TrainingJob, WatchTrainingJobRequest
from policyd import errors
from policyd.client import timeouts
from policyd.client.messages import build

TERMINAL = frozenset({TrainingJob.SUCCEEDED, TrainingJob.FAILED, TrainingJob.CANCELLED})

# The longest single call. A longer watch makes several calls, so that each call has a deadline.
_CALL_SECONDS = 300.0


class Watch:
    """The state of one watch. A client asks it what to do next, and reports the results to it.

    `timeout` is for the whole watch, in seconds; None or infinity: as long as the job takes.
    `patience` is how many seconds to go on trying while no server answers.
    """

    def __init__(self, job_id: str, timeout: float | None, patience: float) -> None:
        """Raises InvalidArgument for a value that cannot be used."""
        build(WatchTrainingJobRequest, job_id=job_id)
        self.job_id = job_id
        self._timeout = math.inf if timeout is None else timeouts.checked(timeout)
        self._patience = timeouts.checked(patience, "patience")
        self._ends = time.monotonic() + self._timeout
        self._outage_began: float | None = None
        self._last: TrainingJob | None = None

    def call_seconds(self) -> float:
        """How long the next call may last. Raises DeadlineExceeded if the timeout has passed."""
        left = self._ends - time.monotonic()
        if left <= 0:
            message = f"job {self.job_id} did not end within {self._timeout:g} s; it goes on"
            raise errors.DeadlineExceeded(message)
        return min(left, _CALL_SECONDS)

    def is_new(self, job: TrainingJob) -> bool:
        """Takes a received job. False: it was received again after a reconnect, unchanged."""
        self._outage_began = None
        is_new = job != self._last
        self._last = job
        return is_new

    @property
    def is_over(self) -> bool:
        """Whether the last received job has ended."""
        return self._last is not None and self._last.state in TERMINAL

    @property
    def last(self) -> TrainingJob:
        """The last received job."""
        assert self._last is not None  # a watch ends with a job or an error
        return self._last

    def pause(self, error: errors.PolicydError | None) -> float:
        """Returns the seconds to wait before the next call.

        `error` None: the stream ended before the job did. Raises the error if another call cannot
        help, or if `patience` seconds have passed.
        """
        if isinstance(error, errors.DeadlineExceeded):  # the deadline of the single call
            return 0.0
        if error is not None and not isinstance(error, errors.Unavailable):
            raise error
        now = time.monotonic()
        self._outage_began = self._outage_began or now
        if error is not None and now - self._outage_began > self._patience:
            raise error
        wait = 1.0 if error is None or math.isinf(error.retry_after) else error.retry_after
        return max(0.0, min(wait, self._ends - now))
