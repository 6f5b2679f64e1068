"""PolicyService: decode, call, encode."""

# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc.aio

from policy_api import rpc
from policy_api.guard import current_caller
from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import policy_pb2_grpc
from server.acting.actor import Actor
from server.acting.stream import ActStream
from server.models.directory import Directory
from server.models.promotion import Promotion

Context = grpc.aio.ServicerContext[Any, Any]
Change = TypeVar("Change", pb.SetAliasRequest, pb.RollbackAliasRequest)


class PolicyService(policy_pb2_grpc.PolicyServiceServicer):
    """Act, what there is to act with, and which version answers."""

    def __init__(self, actor: Actor, directory: Directory, promotion: Promotion, pin_seconds: float) -> None:
        self._actor = actor
        self._pin_seconds = pin_seconds
        self._directory = directory
        self._promotion = promotion

    @rpc.unary
    async def Act(self, request: bytes, context: Context) -> bytes:  # type: ignore[override]  # undecoded: the hot path decodes itself
        """Answers a batch of observations."""
        return self._actor.at_once(request) or await self._actor.act(request)

    @rpc.stream
    async def StreamAct(  # type: ignore[override]  # as above
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Answers a stream's requests in their order; the next is read when the answer before it is out."""
        stream = ActStream(self._actor, self._pin_seconds)
        try:
            async for request in request_iterator:
                yield await stream.act(request)
        finally:
            stream.unpin()

    @rpc.unary
    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Context) -> pb.GetPolicyResponse:
        """One policy with everything."""
        return pb.GetPolicyResponse(policy=await self._directory.get(request.policy))

    @rpc.unary
    async def ListPolicies(
        self, request: pb.ListPoliciesRequest, context: Context
    ) -> pb.ListPoliciesResponse:
        """Every policy."""
        return pb.ListPoliciesResponse(policies=await self._directory.list())

    @rpc.unary
    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.SetAliasResponse:
        """Promotes a version."""
        alias, generation = await self._promotion.set_alias(_as_authenticated(request))
        return pb.SetAliasResponse(alias=alias, generation=generation)

    @rpc.unary
    async def RollbackAlias(
        self, request: pb.RollbackAliasRequest, context: Context
    ) -> pb.RollbackAliasResponse:
        """Goes back a step."""
        alias, generation = await self._promotion.rollback_alias(_as_authenticated(request))
        return pb.RollbackAliasResponse(alias=alias, generation=generation)


def _as_authenticated(request: Change) -> Change:
    """The history records who was authenticated, not who the request says."""
    if (caller := current_caller()) is not None:
        request.actor = caller.name
    return request
