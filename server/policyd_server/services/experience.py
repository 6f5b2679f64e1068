"""ExperienceService: every call goes to the recorder.

It stays bytes where nothing has to be looked at.
"""

# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1 import experience_pb2_grpc
from policyd.runtime import rpc
from policyd.runtime.guard import current_caller
from policyd_server.acting.actor import Actor
from policyd_server.experience.export.exporting import exported
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.wire import Method
from policyd_server.models.resolver import VersionResolver
from policyd_server.turns import Turns, taken_by_client

if TYPE_CHECKING:
    from policyd_server.metrics.experience import ExperienceMetrics

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar(
    "Request",
    pb.ReportOutcomesRequest,
    pb.GetExperienceRequest,
    pb.SetExperienceConfigRequest,
    pb.DeleteEpisodesRequest,
)


class ExperienceService(experience_pb2_grpc.ExperienceServiceServicer):
    """Recording of episodes: outcomes, counts, configuration, deletion, export, and the stream."""

    def __init__(
        self,
        actor: Actor,
        resolver: VersionResolver,
        recorder: RecorderLink,
        root: Path,
        metrics: ExperienceMetrics | None = None,
    ) -> None:
        """`root`: the folder of recorded experience."""
        self._root = root
        self._metrics = metrics
        self._actor = actor
        self._resolver = resolver
        self._recorder = recorder
        self._exports = Turns("exports of episodes")

    @rpc.unary
    async def ReportOutcomes(
        self, request: pb.ReportOutcomesRequest, context: Context
    ) -> pb.ReportOutcomesResponse:
        """Records outcomes. They are durable when this returns."""
        return await self._report(request)

    @rpc.stream
    async def StreamEpisode(
        self, request_iterator: AsyncIterator[pb.StreamEpisodeRequest], context: Context
    ) -> AsyncIterator[pb.StreamEpisodeResponse]:
        """Acts on each message while its outcomes become durable."""
        policy = ""
        async for message in request_iterator:
            policy = message.request.policy or policy
            answer = pb.StreamEpisodeResponse()
            async with self._reporting(policy, message.outcomes, answer.report):
                if message.HasField("request"):
                    acted = await self._actor.act(message.request.SerializeToString())
                    answer.response.MergeFromString(acted)
            yield answer

    @rpc.unary
    async def GetExperience(
        self, request: pb.GetExperienceRequest, context: Context
    ) -> pb.GetExperienceResponse:
        """Returns what has been recorded."""
        return pb.GetExperienceResponse.FromString(await self._call(Method.GET, request))

    @rpc.unary
    async def SetExperienceConfig(
        self, request: pb.SetExperienceConfigRequest, context: Context
    ) -> pb.SetExperienceConfigResponse:
        """Changes what is recorded."""
        return pb.SetExperienceConfigResponse.FromString(await self._call(Method.CONFIGURE, request))

    @rpc.unary
    async def DeleteEpisodes(
        self, request: pb.DeleteEpisodesRequest, context: Context
    ) -> pb.DeleteEpisodesResponse:
        """Deletes episodes."""
        return pb.DeleteEpisodesResponse.FromString(await self._call(Method.DELETE, request))

    @rpc.stream
    async def ExportEpisodes(
        self, request: pb.ExportEpisodesRequest, context: Context
    ) -> AsyncIterator[pb.ExportEpisodesResponse]:
        """Streams the sealed episodes as one file."""
        async with self._exports.taken():
            async for part in taken_by_client(self._parts(request)):
                yield part

    async def _parts(self, request: pb.ExportEpisodesRequest) -> AsyncIterator[pb.ExportEpisodesResponse]:
        request.policy = await self._resolver.policy(request.policy)
        metadata = await self._resolver.metadata(request.policy, request.version)
        chunks = exported(self._root, request, metadata)
        while (chunk := await self._exports.run(next, chunks, None)) is not None:
            yield pb.ExportEpisodesResponse(chunk=chunk)

    @asynccontextmanager
    async def _reporting(
        self, policy: str, outcomes: Sequence[pb.Outcome], into: pb.ReportOutcomesResponse
    ) -> AsyncIterator[None]:
        """Reports in the background while the block runs; ends when the outcomes are durable."""
        if not outcomes:
            yield
            return
        report = asyncio.create_task(self._report(pb.ReportOutcomesRequest(policy=policy, outcomes=outcomes)))
        try:
            yield
        finally:  # whatever happened in the block, the outcomes count and the task has to end
            into.CopyFrom(await report)

    async def _report(self, request: pb.ReportOutcomesRequest) -> pb.ReportOutcomesResponse:
        answer = pb.ReportOutcomesResponse.FromString(await self._call(Method.REPORT, request))
        if self._metrics is not None:
            self._metrics.reported(request.policy, answer)
        return answer

    async def _call(self, method: Method, request: Request) -> bytes:
        """Returns the recorder's response. NotFound: there is no such policy."""
        request.policy = await self._resolver.policy(request.policy)
        caller = current_caller()
        return await self._recorder.call(method, caller.name if caller else "", request.SerializeToString())
