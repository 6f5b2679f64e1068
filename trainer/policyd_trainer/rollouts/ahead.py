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

PATIENCE = 5.0  # seconds that a rollout may still take if it is no longer needed


class AheadCollector:
    """A Collector whose workers are always one rollout ahead of the learner."""

    def __init__(self, workers: WorkerCollector) -> None:
        self._workers = workers
        self._thread = ThreadPoolExecutor(1, "collect-ahead")  # only waits for the workers
        self._running: Future[Rollout] | None = None  # what the workers collect now
        self._ready: Rollout | None = None  # collected, but not yet returned by `collect`

    def reset(self, seed: int) -> None:
        """Resets all environments and drops what was collected."""
        self._gather()
        self._ready = None
        self._workers.reset(seed)

    def collect(self, policy: ActingPolicy) -> Rollout:
        """Returns the rollout that was begun before, and begins the next one.

        The rollout has log-probabilities.
        """
        if self._ready is None and self._running is None:
            self._begin(policy)
        self._gather()
        assert self._ready is not None, "it was gathered"
        rollout, self._ready = self._ready, None
        self._begin(policy)
        return rollout

    def snapshot(self) -> bytes | None:
        """What was collected ahead, and the workers' snapshots; None if a worker has none."""
        self._gather()
        workers = self._workers.snapshot()
        return None if workers is None else pickle.dumps((self._ready, workers))

    def restore(self, snapshot: bytes) -> None:
        """Goes back to a snapshot of the same number of workers."""
        self._gather()
        self._ready, workers = pickle.loads(snapshot)  # noqa: S301  this run wrote it
        self._workers.restore(workers)

    def close(self) -> None:
        """Ends the workers. Waits a while for what they collect, and drops it."""
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
