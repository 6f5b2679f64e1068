"""Workers step while the learner learns: each rollout is by the policy of one rollout before.

The learner corrects for that by `estimate.corrected`. What is collected does not depend on how fast
anybody is: the next rollout is ordered when the last one is handed over, before its update.
"""

from __future__ import annotations

import pickle
from concurrent.futures import Future, ThreadPoolExecutor, wait

from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.policy import ActingPolicy
from policyd_trainer.rollouts.workers import WorkerCollector

PATIENCE = 5.0  # seconds that a rollout may still take where nobody wants it any more


class AheadCollector:
    """A Collector around workers that are always one rollout ahead."""

    def __init__(self, workers: WorkerCollector) -> None:
        self._workers = workers
        self._thread = ThreadPoolExecutor(1, "collect-ahead")  # waits for the workers, no more
        self._running: Future[Rollout] | None = None  # what the workers collect now
        self._ready: Rollout | None = None  # collected and not handed over

    def reset(self, seed: int) -> None:
        """Starts all environments anew; what was collected is forgotten."""
        self._gather()
        self._ready = None
        self._workers.reset(seed)

    def collect(self, policy: ActingPolicy) -> Rollout:
        """The rollout that was begun before, with its log-probabilities; begins the next one."""
        if self._ready is None and self._running is None:
            self._begin(policy)
        self._gather()
        assert self._ready is not None, "it was gathered"
        rollout, self._ready = self._ready, None
        self._begin(policy)
        return rollout

    def snapshot(self) -> bytes | None:
        """What was collected ahead, and the workers after it; None where one has none."""
        self._gather()
        workers = self._workers.snapshot()
        return None if workers is None else pickle.dumps((self._ready, workers))

    def restore(self, snapshot: bytes) -> None:
        """Back to a snapshot of as many workers."""
        self._gather()
        self._ready, workers = pickle.loads(snapshot)  # noqa: S301  this run wrote it
        self._workers.restore(workers)

    def close(self) -> None:
        """Ends the workers; what they collect is awaited for a while, and forgotten."""
        if self._running is not None:
            wait([self._running], PATIENCE)
        self._workers.close()
        self._thread.shutdown(wait=False)

    def _begin(self, policy: ActingPolicy) -> None:
        orders = self._workers.orders(policy, with_log_probs=True)
        self._running = self._thread.submit(self._workers.played, orders)

    def _gather(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            self._ready = running.result()
