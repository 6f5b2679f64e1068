"""Metrics of the jobs' table."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from policy_api.v1.training_pb2 import TrainingResult, TrainingSpec
from policyd_trainer.jobs import states
from policyd_trainer.jobs.schema import open_engine
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.table import JobTable
from policyd_trainer.service.metrics import JobMetrics


def _run(table: JobTable) -> None:
    """Creates a job and ends it."""
    table.create(TrainingSpec(policy="p", algorithm="a2c"), request_id="", max_queued=100)
    job = table.claim()
    assert job is not None
    assert table.succeed(job.job_id, TrainingResult())


def test_each_job_that_ends_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that began since the last look, and also after the clock was set back."""
    with asyncio.Runner() as looking:
        table = JobTable(open_engine(f"sqlite:///{tmp_path}/jobs.db"))
        _run(table)
        registry = CollectorRegistry()
        store = JobStore(table)
        metrics = JobMetrics(store, tmp_path, registry)
        labels = {"state": "SUCCEEDED"}

        def counted() -> float | None:
            return registry.get_sample_value("policyd_job_duration_seconds_count", labels)

        looking.run(metrics.look())
        assert counted() == 0  # it ended before the first look
        table.create(TrainingSpec(policy="p", algorithm="a2c"), request_id="", max_queued=100)
        running = table.claim()
        assert running is not None
        looking.run(metrics.look())
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - 3600)
        assert table.succeed(running.job_id, TrainingResult())
        _run(table)
        for _ in range(2):
            looking.run(metrics.look())
            assert counted() == 2
        total = registry.get_sample_value("policyd_job_duration_seconds_sum", labels)
        assert total is not None
        assert total >= 0
        assert table.counts() == {states.SUCCEEDED: 3}
        store.close()
