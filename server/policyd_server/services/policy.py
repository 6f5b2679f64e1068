"""PolicyService: decode, call, encode."""

# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import policy_pb2_grpc
from policyd.runtime import rpc
from policyd.version import __version__
from policyd_server.acting.actor import Actor
from policyd_server.acting.direct import Conversation, DirectAct
from policyd_server.acting.loop_batcher import LoopBatcher
from policyd_server.acting.stream import ActStream
from policyd_server.models.listing import PolicyListing, described
from policyd_server.models.promotion import Promotion
from policyd_server.models.transfers import Transfers
from policyd_server.services.authenticated import as_authenticated

Context = grpc.aio.ServicerContext[Any, Any]


class PolicyService(policy_pb2_grpc.PolicyServiceServicer):
    """Acting, listing what there is, and choosing which version answers."""

    def __init__(
        self,
        actor: Actor,
        batcher: LoopBatcher,
        listing: PolicyListing,
        promotion: Promotion,
        transfers: Transfers,
        pin_seconds: float,
    ) -> None:
        self._actor = actor
        self._act = DirectAct(actor)
        self._batcher = batcher
        self._pin_seconds = pin_seconds
        self._listing = listing
        self._promotion = promotion
        self._transfers = transfers

    @rpc.unary
    async def Act(self, request: bytes, context: Context) -> bytes:  # type: ignore[override]  # bytes, because the hot path decodes by itself
        """Answers a batch of observations."""
        return await self._answer(self._act, request)

    @rpc.stream
    async def StreamAct(  # type: ignore[override]  # as above
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Answers a stream's requests in their order.

        It reads the next one when the response before it was sent.
        """
        stream = ActStream(self._actor, self._pin_seconds, asyncio.get_running_loop())
        try:
            async for request in request_iterator:
                yield await self._answer(stream, request)
        finally:
            stream.close()

    async def _answer(self, talk: Conversation, message: bytes) -> bytes:
        """Returns the response. A plain request is recognised by its first bytes."""
        asked = talk.read(message)
        answer = None if asked is None else await self._batcher.plain(asked)
        return await talk.answer(message) if answer is None else talk.wrap(answer)

    @rpc.unary
    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Context) -> pb.GetPolicyResponse:
        """Returns one policy with everything."""
        return pb.GetPolicyResponse(policy=await self._listing.get(request.policy))

    @rpc.unary
    async def ListPolicies(
        self, request: pb.ListPoliciesRequest, context: Context
    ) -> pb.ListPoliciesResponse:
        """Returns every policy."""
        return pb.ListPoliciesResponse(policies=await self._listing.list())

    @rpc.unary
    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.SetAliasResponse:
        """Promotes a version."""
        alias, generation = await self._promotion.set_alias(as_authenticated(request))
        return pb.SetAliasResponse(alias=alias, generation=generation)

    @rpc.unary
    async def RollbackAlias(
        self, request: pb.RollbackAliasRequest, context: Context
    ) -> pb.RollbackAliasResponse:
        """Points an alias back at the version before."""
        alias, generation = await self._promotion.rollback_alias(as_authenticated(request))
        return pb.RollbackAliasResponse(alias=alias, generation=generation)

    @rpc.stream
    async def ExportVersion(
        self, request: pb.ExportVersionRequest, context: Context
    ) -> AsyncIterator[pb.ExportVersionResponse]:
        """Streams one version's files."""
        async for part in self._transfers.export(request):
            yield part

    @rpc.unary
    async def ImportVersion(
        self, request_iterator: AsyncIterator[pb.ImportVersionRequest], context: Context
    ) -> pb.ImportVersionResponse:
        """Publishes the files of the request."""
        published, existed = await self._transfers.import_(request_iterator)
        return pb.ImportVersionResponse(version=described(published, loaded=False), existed=existed)

    @rpc.unary
    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Returns the release that serves, and its limits."""
        return pb.GetServerInfoResponse(version=__version__, max_batch_rows=self._actor.max_rows)
