"""TrainingService: decode, call, encode."""
# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from policy_api.v1 import training_pb2 as pb
from policy_api.v1.training_pb2_grpc import TrainingServiceServicer
from policyd.runtime import rpc
from policyd.runtime.guard import metadata_of
from policyd.runtime.origin import ON_BEHALF_OF
from policyd_trainer.jobs.logs import JobLogs
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.supervisor import Supervisor
from policyd_trainer.service.ceilings import Ceilings
from policyd_trainer.service.checking import Checker
from policyd_trainer.service.environments import AllowList
from policyd_trainer.service.validation import check_create, page_of, settings_of

Context = grpc.aio.ServicerContext[Any, Any]


class TrainingServicer(TrainingServiceServicer):
    """Responds from the store. The supervisor changes what runs."""

    def __init__(
        self,
        store: JobStore,
        supervisor: Supervisor,
        environments: AllowList,
        checker: Checker,
        ceilings: Ceilings,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._logs = JobLogs(store, supervisor.runs)
        self._environments = environments
        self._checker = checker
        self._ceilings = ceilings

    @rpc.unary
    async def CreateTrainingJob(
        self, request: pb.CreateTrainingJobRequest, context: Context
    ) -> pb.CreateTrainingJobResponse:
        """Queues a job. Idempotent by request_id."""
        await self._check(request)
        told = metadata_of(context).get(ON_BEHALF_OF, "")
        job = await self._supervisor.create(request, told if isinstance(told, str) else "")
        return pb.CreateTrainingJobResponse(job=job)

    @rpc.unary
    async def CheckTrainingSpec(
        self, request: pb.CheckTrainingSpecRequest, context: Context
    ) -> pb.CheckTrainingSpecResponse:
        """Validates, and queues nothing."""
        await self._check(pb.CreateTrainingJobRequest(spec=request.spec))
        return pb.CheckTrainingSpecResponse(settings=settings_of(request.spec))

    @rpc.unary
    async def GetTrainingJob(
        self, request: pb.GetTrainingJobRequest, context: Context
    ) -> pb.GetTrainingJobResponse:
        """One job."""
        job = await self._store.read(self._store.table.get, request.job_id)
        return pb.GetTrainingJobResponse(job=job)

    @rpc.unary
    async def ListTrainingJobs(
        self, request: pb.ListTrainingJobsRequest, context: Context
    ) -> pb.ListTrainingJobsResponse:
        """A page of jobs, newest first."""
        size, before = page_of(request)
        jobs, more = await self._store.read(
            self._store.table.page, policy=request.policy, size=size, before=before
        )
        return pb.ListTrainingJobsResponse(jobs=jobs, next_page_token="" if more is None else str(more))

    @rpc.stream
    async def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchTrainingJobResponse]:
        """Yields the job now and at each change."""
        async for job in self._store.watch(request.job_id):
            yield pb.WatchTrainingJobResponse(job=job)

    @rpc.stream
    async def ReadTrainingJobLog(
        self, request: pb.ReadTrainingJobLogRequest, context: Context
    ) -> AsyncIterator[pb.ReadTrainingJobLogResponse]:
        """Yields the job's log, and then what is added to it."""
        async for content in self._logs.read(request.job_id, follow=request.follow):
            yield pb.ReadTrainingJobLogResponse(content=content)

    @rpc.unary
    async def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: Context
    ) -> pb.CancelTrainingJobResponse:
        """Asks for the end of a job."""
        return pb.CancelTrainingJobResponse(job=await self._supervisor.cancel(request.job_id))

    async def _check(self, request: pb.CreateTrainingJobRequest) -> None:
        """Raises InvalidArgument or PermissionDenied if a request to train is wrong."""
        config = await asyncio.to_thread(check_create, request, self._environments, self._ceilings)
        if config is not None:
            await self._checker.check(config, request.spec.settings)
