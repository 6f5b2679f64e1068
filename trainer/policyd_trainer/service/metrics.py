"""What the trainer tells Prometheus.

Jobs by state, how long they took, what the running ones are at.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, Histogram

from policy_api.v1.training_pb2 import TrainingJob
from policyd.runtime.certificate_expiry import ExpiryMetric
from policyd.runtime.rpc_metrics import RpcMetrics
from policyd_trainer.jobs import states
from policyd_trainer.jobs.store import JobStore

LOOK_SECONDS = 2.0

_LOG = logging.getLogger(__name__)

# Seconds, from a short test to a whole night.
DURATIONS = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0)


class JobMetrics:
    """Metrics from the table of jobs.

    Jobs that ended before the first look count by state only.
    """

    def __init__(self, store: JobStore, repository: Path, registry: CollectorRegistry) -> None:
        self._store = store
        self._repository = repository
        self._going: set[str] | None = None  # the jobs that had not ended at the last look; None: no look yet
        self._newest = 0  # number of the newest job then
        self._jobs = Gauge("policyd_jobs", "Jobs in the table.", ("state",), registry=registry)
        self._duration = Histogram(
            "policyd_job_duration_seconds",
            "From start to end, all attempts together.",
            ("state",),
            buckets=DURATIONS,
            registry=registry,
        )
        for state in states.TERMINAL:  # from the start, at 0: an increase needs a value before it
            self._duration.labels(TrainingJob.State.Name(state))
        policy = ("policy",)
        self._steps = Gauge("policyd_job_env_steps", "Of running jobs.", policy, registry=registry)
        self._rate = Gauge("policyd_job_env_steps_per_second", "Of running jobs.", policy, registry=registry)
        self._return = Gauge(
            "policyd_job_mean_return", "Last training episodes of running jobs.", policy, registry=registry
        )
        self._fraction = Gauge("policyd_job_fraction", "Of running jobs, 0 to 1.", policy, registry=registry)
        self._free = Gauge("policyd_repository_free_bytes", "Of its file system.", registry=registry)
        self._size = Gauge("policyd_repository_size_bytes", "Of its file system.", registry=registry)

    async def look(self) -> None:
        """Updates the metrics."""
        counts = await self._store.read(self._store.table.counts)
        for state in states.SOURCES:
            self._jobs.labels(TrainingJob.State.Name(state)).set(counts.get(state, 0))
        self._note_running(await self._store.read(self._store.table.in_state, states.RUNNING))
        await self._look_for_endings()
        disk = await asyncio.to_thread(shutil.disk_usage, self._repository)
        self._free.set(disk.free)
        self._size.set(disk.total)

    def _note_running(self, jobs: list[TrainingJob]) -> None:
        for gauge in (self._steps, self._rate, self._return, self._fraction):
            gauge.clear()
        for job in jobs:
            policy, progress = job.spec.policy, job.progress
            self._steps.labels(policy).set(progress.env_steps)
            self._rate.labels(policy).set(progress.env_steps_per_second)
            self._fraction.labels(policy).set(progress.fraction)
            if progress.HasField("mean_return"):
                self._return.labels(policy).set(progress.mean_return)

    async def _look_for_endings(self) -> None:
        """Notes each job that has ended since the last look, also if it began since then."""
        read, table = self._store.read, self._store.table
        going, newest = await read(table.unfinished)
        if self._going is not None:
            for job in await read(table.ended, self._going - going, self._newest, newest):
                if job.job_id not in going:  # else it ended just now, and is noted at the next look
                    self._note_ended(job)
        self._going, self._newest = going, newest

    def _note_ended(self, job: TrainingJob) -> None:
        if job.HasField("start_time"):
            seconds = (job.end_time.ToNanoseconds() - job.start_time.ToNanoseconds()) / 1e9
            self._duration.labels(TrainingJob.State.Name(job.state)).observe(max(0.0, seconds))


class TrainerMetrics:
    """All metrics of a trainer. It is made only if metrics are asked for."""

    def __init__(self, store: JobStore, repository: Path, certificate: Path | None = None) -> None:
        """`certificate` is the one that the trainer shows its server, if it uses TLS."""
        self.registry = CollectorRegistry()
        self._expiry = ExpiryMetric(certificate, self.registry) if certificate is not None else None
        self.rpc = RpcMetrics(self.registry)
        self._jobs = JobMetrics(store, repository, self.registry)

    async def run(self) -> None:
        """Updates all metrics for ever. If the table does not respond it tries again."""
        while True:
            self.rpc.flush()
            if self._expiry is not None:
                self._expiry.look()
            try:
                await self._jobs.look()
            except Exception:  # noqa: BLE001  the database or the disk failed; running jobs go on
                _LOG.exception("the jobs' table cannot be read for metrics")
            await asyncio.sleep(LOOK_SECONDS)
