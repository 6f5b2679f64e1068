"""TrainingService: decode, call, encode."""
# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from policy_api import rpc
from policy_api.v1 import training_pb2 as pb
from policy_api.v1.training_pb2_grpc import TrainingServiceServicer
from trainer.jobs.store import JobStore
from trainer.jobs.supervisor import Supervisor
from trainer.service.environments import AllowList
from trainer.service.validation import check_create, page_of

Context = grpc.aio.ServicerContext[Any, Any]


class TrainingServicer(TrainingServiceServicer):
    """Answers from the store; the supervisor changes what runs."""

    def __init__(self, store: JobStore, supervisor: Supervisor, environments: AllowList) -> None:
        self._store = store
        self._supervisor = supervisor
        self._environments = environments

    @rpc.unary
    async def CreateTrainingJob(
        self, request: pb.CreateTrainingJobRequest, context: Context
    ) -> pb.CreateTrainingJobResponse:
        """Queues a job. Idempotent by request_id."""
        await asyncio.to_thread(check_create, request, self._environments)
        job = await self._supervisor.create(request)
        return pb.CreateTrainingJobResponse(job=job)

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
        """The job now and at each change."""
        async for job in self._store.watch(request.job_id):
            yield pb.WatchTrainingJobResponse(job=job)

    @rpc.unary
    async def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: Context
    ) -> pb.CancelTrainingJobResponse:
        """Asks for the end of a job."""
        return pb.CancelTrainingJobResponse(job=await self._supervisor.cancel(request.job_id))
