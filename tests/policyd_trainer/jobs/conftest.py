"""A supervisor with real worker processes, and a database for its jobs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from policy_api.v1 import artifact_pb2
from policy_api.v1.training_pb2 import TrainingJob
from policyd.repository import ModelRepository
from policyd_trainer.jobs.limits import Limits
from policyd_trainer.jobs.runs.folder import FolderRuns
from policyd_trainer.jobs.schema import open_engine
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.supervisor import Span, Supervisor, untraced
from policyd_trainer.jobs.table import JobTable
from tests.policyd_trainer.jobs.postgres import Postgres, postgres
from tests.policyd_trainer.jobs.room import PUBLISHER, STAND_IN, OpenRoom, Room

__all__ = ["postgres"]  # other folders use the fixture, too


@pytest.fixture(params=["sqlite", "postgres"])
def jobs_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def engine(jobs_url: str) -> Iterator[sa.Engine]:
    engine = open_engine(jobs_url)
    yield engine
    engine.dispose()


@pytest.fixture
def table(engine: sa.Engine) -> JobTable:
    return JobTable(engine)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "repository")


@pytest.fixture
def cartpole() -> artifact_pb2.PolicyMetadata:
    return artifact_pb2.PolicyMetadata(
        policy="cartpole",
        observation_space=artifact_pb2.Space(box=artifact_pb2.BoxSpace(shape=[4], dtype="float32")),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=2)),
    )


@pytest.fixture
def open_room(table: JobTable, repository: ModelRepository, tmp_path: Path) -> OpenRoom:
    @asynccontextmanager
    async def open_room(
        behaviour: str, limits: Limits | None = None, span: Span = untraced
    ) -> AsyncIterator[Room]:
        def command(job: TrainingJob, *, run_dir: Path, **_: object) -> list[str]:
            script = PUBLISHER if behaviour == "publish" else STAND_IN
            return [sys.executable, str(script), behaviour, str(run_dir)]

        store = JobStore(table)
        runs = tmp_path / "runs"
        supervisor = Supervisor(
            store, repository, FolderRuns(runs), limits or Limits(stop_seconds=1), command, span
        )
        running = asyncio.create_task(supervisor.run())
        try:
            yield Room(store, supervisor, runs)
        finally:
            await supervisor.stop()
            await running
            store.close()

    return open_room
