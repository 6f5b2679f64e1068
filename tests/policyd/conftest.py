# ruff: noqa: N802  (the contract names the methods)
"""A small peer that speaks the contract on port 0.

One policy for CartPole and a scripted training job.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from policy_api.v1 import gate_pb2, policy_pb2, policy_pb2_grpc, training_pb2, training_pb2_grpc
from policyd import errors, sampling
from policyd.cli.app import run
from policyd.runtime import status

Job = training_pb2.TrainingJob


def _abort(context: grpc.ServicerContext, error: errors.PolicydError) -> None:
    details = status.to_status(error).SerializeToString()
    context.set_trailing_metadata((("grpc-status-details-bin", details),))
    context.abort(status.code_of(error), error.message)


class Peer(policy_pb2_grpc.PolicyServiceServicer, training_pb2_grpc.TrainingServiceServicer):
    """Versions 1 and 2 of `cartpole`, champion 2.

    Version 1 responds uniformly; version 2 balances the pole.
    """

    def __init__(self) -> None:
        self.champion = 2
        self.digests = {1: "1" * 64, 2: "2" * 64}
        self.fail_with: errors.PolicydError | None = None
        self.ending = Job.SUCCEEDED
        self.promoted = True
        self.verdict = gate_pb2.GateVerdict()
        self.breaks = itertools.repeat(False)  # per watch: whether it breaks after its first message
        self.jobs: dict[str, training_pb2.TrainingJob] = {}
        self.requests: list[object] = []
        self.authorizations: list[str] = []
        self.time_left: list[float | None] = []
        self.never_ends = threading.Event()
        self.never_ends.set()

    def serve(self, port: int = 0, credentials: Any = None) -> tuple[grpc.Server, int]:
        """Starts a real gRPC server on loopback. Returns it and its port."""
        server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(self, server)
        training_pb2_grpc.add_TrainingServiceServicer_to_server(self, server)
        listen = f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
        bound = (
            server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
        )
        server.start()
        return server, bound

    def serve_at(self, address: str) -> grpc.Server:
        """Starts a real gRPC server at any address that gRPC knows, such as unix:PATH."""
        server = grpc.server(ThreadPoolExecutor(8))
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(self, server)
        training_pb2_grpc.add_TrainingServiceServicer_to_server(self, server)
        server.add_insecure_port(address)
        server.start()
        return server

    def Act(self, request: Any, context: Any) -> Any:
        """Responds with probabilities from the pole's angle and velocity.

        Actions are sampled as in docs/guide/sampling.md.
        """
        self._note(request, context)
        observations = np.frombuffer(request.observations.raw, "<f4").reshape(-1, 4)
        version = request.version or self.champion
        right = 1 / (1 + np.exp(-40 * (version - 1) * (observations[:, 2] + observations[:, 3])))
        probs = np.stack([1 - right, right], axis=1).astype(np.float32)  # [batch, 2]
        if request.deterministic:
            actions = [sampling.mode(row) for row in probs.tolist()]
        else:
            first = request.first_row
            actions = [sampling.sample(row, request.seed, first + i) for i, row in enumerate(probs.tolist())]
        answer = policy_pb2.ActResponse(
            policy="cartpole", version=version, digest=self.digests[version], batch_size=len(probs)
        )
        answer.seed = request.seed
        answer.actions.raw = np.array(actions, "<i8").tobytes()
        answer.action_probs.raw = probs.tobytes()
        answer.log_probs.raw = np.log(probs[np.arange(len(probs)), actions]).tobytes()
        return answer

    def StreamAct(self, request: Any, context: Any) -> Any:
        """Refuses: the commands do not stream."""
        _abort(context, errors.Unimplemented("the peer does not stream"))

    def GetPolicy(self, request: Any, context: Any) -> Any:
        """The one policy."""
        self._note(request, context)
        if request.policy not in ("", "cartpole"):
            _abort(context, errors.NotFound(f"no policy {request.policy}; there are: cartpole"))
        return policy_pb2.GetPolicyResponse(policy=self._policy())

    def ListPolicies(self, request: Any, context: Any) -> Any:
        """The one policy, in a list."""
        self._note(request, context)
        return policy_pb2.ListPoliciesResponse(policies=[self._policy()])

    def GetServerInfo(self, request: Any, context: Any) -> Any:
        """Responds with a release of its own."""
        self._note(request, context)
        return policy_pb2.GetServerInfoResponse(version="1.2.3", max_batch_rows=64)

    def SetAlias(self, request: Any, context: Any) -> Any:
        """Moves the alias champion."""
        self._note(request, context)
        self.champion = request.version
        return policy_pb2.SetAliasResponse(alias=self._policy().aliases[0], generation=3)

    def RollbackAlias(self, request: Any, context: Any) -> Any:
        """Moves the alias champion to 1."""
        self._note(request, context)
        self.champion = 1
        return policy_pb2.RollbackAliasResponse(alias=self._policy().aliases[0], generation=4)

    def ExportVersion(self, request: Any, context: Any) -> Any:
        """Refuses: the peer has no files."""
        _abort(context, errors.Unimplemented("the peer has no files"))

    def ImportVersion(self, request_iterator: Any, context: Any) -> Any:
        """Refuses: the peer takes no files."""
        _abort(context, errors.Unimplemented("the peer takes no files"))

    def CreateTrainingJob(self, request: Any, context: Any) -> Any:
        """Queues a job. The same request id gets the same job."""
        self._note(request, context)
        job = Job(job_id=f"job-{len(self.jobs) + 1}", request_id=request.request_id, spec=request.spec)
        job.state, job.queue_place, job.requested_by = Job.QUEUED, len(self.jobs) + 1, request.actor
        job.create_time.FromJsonString("2030-01-02T03:04:05.678Z")
        job.waits_for.extend(self.jobs)
        known = {old.request_id: old for old in self.jobs.values()}
        job = known.get(request.request_id, job)
        self.jobs[job.job_id] = job
        return training_pb2.CreateTrainingJobResponse(job=job)

    def GetTrainingJob(self, request: Any, context: Any) -> Any:
        """One job."""
        return training_pb2.GetTrainingJobResponse(job=self._job(request, context))

    def ListTrainingJobs(self, request: Any, context: Any) -> Any:
        """Lists jobs, at most two per page."""
        self._note(request, context)
        jobs = list(self.jobs.values())[::-1]
        start = int(request.page_token or 0)
        end = start + min(request.page_size, 2)
        token = str(end) if end < len(jobs) else ""
        return training_pb2.ListTrainingJobsResponse(jobs=jobs[start:end], next_page_token=token)

    def ReadTrainingJobLog(self, request: Any, context: Any) -> Any:
        """Sends two pieces, split inside a character. A followed log has one more."""
        self._job(request, context)
        for piece in ("für ".encode()[:2], "für ".encode()[2:], *([b"more"] if request.follow else [])):
            yield training_pb2.ReadTrainingJobLogResponse(content=piece)

    def WatchTrainingJob(self, request: Any, context: Any) -> Any:
        """Sends half of the progress, then the end that the test wants."""
        job = self._job(request, context)
        job.state, job.queue_place = Job.RUNNING, 0
        job.start_time.FromJsonString("2030-01-02T03:05:00Z")
        job.progress.phase = training_pb2.TrainingProgress.TRAINING
        job.progress.fraction = 0.5
        job.progress.env_steps, job.progress.total_env_steps = 500, 1000
        job.progress.mean_return = 123.5
        yield training_pb2.WatchTrainingJobResponse(job=job)
        if next(self.breaks):
            _abort(context, errors.Unavailable("the trainer went away", retry_after=0.01))
        self.never_ends.wait()
        self._end(job)
        yield training_pb2.WatchTrainingJobResponse(job=job)

    def CheckTrainingSpec(self, request: Any, context: Any) -> Any:
        """Accepts every spec."""
        return training_pb2.CheckTrainingSpecResponse(settings=request.spec.settings)

    def CancelTrainingJob(self, request: Any, context: Any) -> Any:
        """Cancels immediately."""
        job = self._job(request, context)
        job.state = Job.CANCELLED
        return training_pb2.CancelTrainingJobResponse(job=job)

    def _end(self, job: training_pb2.TrainingJob) -> None:
        job.state = self.ending
        if self.ending == Job.SUCCEEDED:
            job.result.version, job.result.digest = 3, "3" * 64
            job.result.promoted = self.promoted
            job.result.verdict.CopyFrom(self.verdict)
            job.result.promotion_reason = "mean return 490.0, wanted 475.0"
        elif self.ending == Job.FAILED:
            job.failure.reason, job.failure.message = "DIVERGED", "the loss is not finite"
            job.failure.log_tail.append("last words")

    def _note(self, request: object, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.time_left.append(context.time_remaining())
        sent = dict(context.invocation_metadata())
        if "authorization" in sent:
            self.authorizations.append(str(sent["authorization"]))
        if self.fail_with is not None:
            _abort(context, self.fail_with)

    def _job(self, request: Any, context: Any) -> Any:
        self._note(request, context)
        if request.job_id not in self.jobs:
            _abort(context, errors.NotFound(f"no job {request.job_id}"))
        return self.jobs[request.job_id]

    def _policy(self) -> policy_pb2.Policy:
        policy = policy_pb2.Policy(name="cartpole", generation=2)
        policy.aliases.add(name="champion", version=self.champion, serving_version=self.champion)
        change = policy.aliases[0].history.add(
            version=self.champion, generation=2, actor="ann", reason="good"
        )
        change.kind = policy_pb2.AliasChange.KIND_SET
        for version, digest in self.digests.items():
            added = policy.versions.add(version=version, digest=digest, loaded=True)
            added.metadata.env_id = "CartPole-v1"
            box = added.metadata.observation_space.box
            box.shape.append(4)
            box.dtype = "float32"
            box.low.append(float("-inf"))
            added.metadata.action_space.discrete.n = 2
            added.metadata.distribution.categorical.n = 2
        return policy


@pytest.fixture
def peer() -> Peer:
    """The peer's data, which a test changes as it needs."""
    return Peer()


@pytest.fixture
def restart(peer: Peer) -> Iterator[Callable[[int], int]]:
    """Stops the running server, if any, and starts one. Takes and returns the port."""
    running: list[grpc.Server] = []

    def start(port: int = 0) -> int:
        for server in running:
            server.stop(None).wait()
        server, bound = peer.serve(port)
        running[:] = [server]
        return bound

    yield start
    peer.never_ends.set()
    for server in running:
        server.stop(None).wait()


@pytest.fixture
def address(restart: Callable[[int], int]) -> str:
    """HOST:PORT of the running peer."""
    return f"127.0.0.1:{restart(0)}"


class Shell:
    """Runs policyctl in this process and keeps what it printed."""

    def __init__(self, address: str, captured: pytest.CaptureFixture[str]) -> None:
        self.address = address
        self._captured = captured
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Runs policyctl. Returns the exit code."""
        code = run(["--server", self.address, *arguments])
        self.out, self.err = self._captured.readouterr()
        return code

    @property
    def document(self) -> dict[str, object]:
        """What was printed, which must be one JSON document."""
        document: dict[str, object] = json.loads(self.out)
        return document


@pytest.fixture
def shell(address: str, capfd: pytest.CaptureFixture[str]) -> Shell:
    """The command policyctl for the peer."""
    return Shell(address, capfd)
