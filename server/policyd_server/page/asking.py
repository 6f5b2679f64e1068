"""The page's calls to the services, made as the user who looks at it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request

from policy_api.v1 import experience_pb2, policy_pb2, traffic_pb2, training_pb2
from policyd.errors import NotFound
from policyd_server.http.calls import Method
from policyd_server.http.gateway import Gateway
from policyd_server.page import methods

MOST_JOBS = 100  # most jobs that the page lists
LOG_BYTES, LOG_LINES = 64 * 1024, 200  # the end of a job's log that is shown


class Services:
    """Calls the services for the user who looks at the page. Each raises the service's error."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._calls = gateway.calls

    async def policies(self, request: Request) -> list[policy_pb2.Policy]:
        """Returns every policy, by name."""
        asked = policy_pb2.ListPoliciesRequest()
        return list((await self._calls.unary(request, methods.LIST_POLICIES, asked)).policies)

    async def policy(self, request: Request, name: str) -> policy_pb2.Policy:
        """Returns one policy. NotFound."""
        asked = policy_pb2.GetPolicyRequest(policy=name)
        policy: policy_pb2.Policy = (await self._calls.unary(request, methods.GET_POLICY, asked)).policy
        return policy

    async def jobs(self, request: Request) -> list[training_pb2.TrainingJob]:
        """Returns the newest jobs, the newest first."""
        asked = training_pb2.ListTrainingJobsRequest(page_size=MOST_JOBS)
        return list((await self._calls.unary(request, methods.LIST_JOBS, asked)).jobs)

    async def job(self, request: Request, job_id: str) -> training_pb2.TrainingJob:
        """Returns one job. NotFound."""
        asked = training_pb2.GetTrainingJobRequest(job_id=job_id)
        job: training_pb2.TrainingJob = (await self._calls.unary(request, methods.GET_JOB, asked)).job
        return job

    async def experience(self, request: Request, policy: str) -> experience_pb2.GetExperienceResponse:
        """Returns what a policy has recorded."""
        asked = experience_pb2.GetExperienceRequest(policy=policy)
        answer: experience_pb2.GetExperienceResponse = await self._calls.unary(
            request, methods.GET_EXPERIENCE, asked
        )
        return answer

    async def traffic(self, request: Request, policy: str) -> traffic_pb2.Traffic:
        """Returns how the traffic of a policy's aliases is shared, and the canary."""
        asked = traffic_pb2.GetTrafficRequest(policy=policy)
        answer = await self._calls.unary(request, methods.GET_TRAFFIC, asked)
        traffic: traffic_pb2.Traffic = answer.traffic
        return traffic

    async def comparisons(self, request: Request, policy: str) -> list[traffic_pb2.Comparison]:
        """Returns how the policy's shadows compare. FailedPrecondition: it never had one."""
        asked = traffic_pb2.CompareVersionsRequest(policy=policy)
        answer = await self._calls.unary(request, methods.COMPARE_VERSIONS, asked)
        return list(answer.comparisons)

    async def act(self, request: Request, asked: policy_pb2.ActRequest) -> policy_pb2.ActResponse:
        """Returns actions."""
        answer: policy_pb2.ActResponse = await self._calls.unary(request, methods.ACT, asked)
        return answer

    async def file_names(self, request: Request, policy: str, version: int) -> list[str]:
        """Returns the names of a version's files."""
        asked = policy_pb2.ExportVersionRequest(policy=policy, version=version)
        async with aclosing(self._stream(request, methods.EXPORT_VERSION, asked)) as parts:
            async for part in parts:
                return [file.name for file in part.contents.files]
        return []

    async def file(
        self, request: Request, policy: str, version: int, name: str
    ) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of one file, in parts. NotFound: there is no such file."""
        asked = policy_pb2.ExportVersionRequest(policy=policy, version=version, files=[name])
        async with aclosing(self._stream(request, methods.EXPORT_VERSION, asked)) as parts:
            async for part in parts:
                if part.WhichOneof("part") == "chunk":
                    yield part.chunk.data

    async def small_file(self, request: Request, policy: str, version: int, name: str, limit: int) -> bytes:
        """Returns one whole file. NotFound: there is none, or it is larger than `limit` bytes."""
        content = bytearray()
        async with aclosing(self.file(request, policy, version, name)) as parts:
            async for part in parts:
                content += part
                if len(content) > limit:
                    raise NotFound(f"{name} is larger than {limit} bytes", reason="FILE_TOO_LARGE")
        return bytes(content)

    async def log_tail(self, request: Request, job_id: str) -> str:
        """Returns the last lines of a job's log. NotFound: there is no log."""
        asked = training_pb2.ReadTrainingJobLogRequest(job_id=job_id)
        tail = b""
        async with aclosing(self._stream(request, methods.READ_LOG, asked)) as parts:
            async for part in parts:
                tail = (tail + part.content)[-LOG_BYTES:]
        return "\n".join(tail.decode(errors="replace").splitlines()[-LOG_LINES:])

    async def _stream(self, request: Request, method: Method, asked: Any) -> AsyncGenerator[Any, None]:
        async for answer in self._calls.stream(request, method, asked):
            yield answer
