"""Following a training job through breaks of the connection."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from policy_api import errors
from policy_api.v1.training_pb2 import TrainingJob

TERMINAL = frozenset({TrainingJob.SUCCEEDED, TrainingJob.FAILED, TrainingJob.CANCELLED})

#: One subscription: yields the job at each change, given the seconds that the call may last.
Subscribe = Callable[[float], Iterator[TrainingJob]]

# One call's deadline; a longer wait subscribes again, so that no call is without a deadline.
_CALL_SECONDS = 300.0


def follow(
    subscribe: Subscribe,
    job_id: str,
    *,
    timeout: float | None = None,
    patience: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[TrainingJob]:
    """Yields the job now and at each change, until a terminal state was yielded.

    Subscribes again when the stream breaks. After a break the current state may come twice.

    `timeout` is for the whole, in seconds (None: as long as the job takes); `patience` is how many seconds
    without a server are waited out. DeadlineExceeded and Unavailable where these pass.
    """
    ends = math.inf if timeout is None else time.monotonic() + timeout
    outage_began: float | None = None
    while True:
        left = ends - time.monotonic()
        if left <= 0:
            raise errors.DeadlineExceeded(f"job {job_id} did not end within {timeout:g} s; it goes on")
        try:
            for job in subscribe(min(left, _CALL_SECONDS)):
                outage_began = None
                yield job
                if job.state in TERMINAL:
                    return
        except errors.DeadlineExceeded:
            continue
        except errors.Unavailable as error:
            now = time.monotonic()
            outage_began = outage_began or now
            if now - outage_began > patience:
                raise
            sleep(max(0.0, min(error.retry_after, ends - now)))
