"""A trainer's service in the test's own process: it keeps jobs in memory and learns nothing."""

# ruff: noqa: D102, N802 -- gRPC names the methods, and the contract describes them

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

from policy_api.v1 import training_pb2 as pb
from policy_api.v1 import training_pb2_grpc
from policyd.errors import AlreadyExists, InvalidArgument, NotFound
from tests import threaded_rpc

FLOOD_LINES = ["x" * 1000] * 64  # lines of a job's log tail, so that an update is large


class Trainer(training_pb2_grpc.TrainingServiceServicer):
    """A trainer with jobs by id.

    A job of the policy `endless` is watched until the watcher goes; `flood` sends without a pause.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, pb.TrainingJob] = {}
        self.metadata: dict[str, Any] = {}
        self.left = threading.Event()  # a watcher has gone
        self.sent = 0  # updates of `flood`
        self._server = grpc.server(futures.ThreadPoolExecutor(16))
        training_pb2_grpc.add_TrainingServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Ends the service."""
        self._server.stop(None).wait()

    @threaded_rpc.unary
    def CreateTrainingJob(
        self, request: pb.CreateTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.CreateTrainingJobResponse:
        self.metadata = dict(context.invocation_metadata())
        if request.spec.settings.get("gamma") == "2":
            raise InvalidArgument.of("settings[gamma]", got=2, wanted="a number from 0 to 1")
        if request.request_id in {job.request_id for job in self.jobs.values() if job.request_id}:
            raise AlreadyExists("request_id is known with other content")
        job = pb.TrainingJob(
            job_id=f"job-{len(self.jobs) + 1}", spec=request.spec, state=pb.TrainingJob.QUEUED
        )
        job.request_id = request.request_id
        job.create_time.FromSeconds(1_700_000_000)
        job.limits.CopyFrom(request.limits)
        self.jobs[job.job_id] = job
        return pb.CreateTrainingJobResponse(job=job)

    @threaded_rpc.unary
    def CheckTrainingSpec(
        self, request: pb.CheckTrainingSpecRequest, context: grpc.ServicerContext
    ) -> pb.CheckTrainingSpecResponse:
        if request.spec.settings.get("gamma") == "2":
            raise InvalidArgument.of("settings[gamma]", got=2, wanted="a number from 0 to 1")
        return pb.CheckTrainingSpecResponse(settings=request.spec.settings)

    @threaded_rpc.unary
    def GetTrainingJob(
        self, request: pb.GetTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.GetTrainingJobResponse:
        return pb.GetTrainingJobResponse(job=self._job(request.job_id))

    @threaded_rpc.unary
    def ListTrainingJobs(
        self, request: pb.ListTrainingJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListTrainingJobsResponse:
        jobs = [job for job in self.jobs.values() if request.policy in ("", job.spec.policy)]
        return pb.ListTrainingJobsResponse(jobs=jobs[: request.page_size or 100])

    @threaded_rpc.unary
    def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.CancelTrainingJobResponse:
        job = self._job(request.job_id)
        job.state = pb.TrainingJob.CANCELLED
        return pb.CancelTrainingJobResponse(job=job)

    @threaded_rpc.stream
    def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTrainingJobResponse]:
        job = self._job(request.job_id)
        gone = threading.Event()
        context.add_callback(gone.set)
        context.add_callback(self.left.set)
        yield pb.WatchTrainingJobResponse(job=job)
        if job.spec.policy == "endless":
            gone.wait(60)
        while job.spec.policy == "flood" and not gone.is_set():
            self.sent += 1
            yield pb.WatchTrainingJobResponse(
                job=pb.TrainingJob(job_id=job.job_id, failure=pb.TrainingFailure(log_tail=FLOOD_LINES))
            )
        yield pb.WatchTrainingJobResponse(
            job=pb.TrainingJob(job_id=job.job_id, state=pb.TrainingJob.SUCCEEDED)
        )

    @threaded_rpc.stream
    def ReadTrainingJobLog(
        self, request: pb.ReadTrainingJobLogRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ReadTrainingJobLogResponse]:
        job = self._job(request.job_id)
        yield pb.ReadTrainingJobLogResponse(content=b"first <b>line</b>\n")
        if job.spec.policy == "endless":
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(60)
        yield pb.ReadTrainingJobLogResponse(content=b"followed\n" if request.follow else b"last\n")

    def _job(self, job_id: str) -> pb.TrainingJob:
        if job_id not in self.jobs:
            raise NotFound(f"no job '{job_id}'")
        return self.jobs[job_id]
