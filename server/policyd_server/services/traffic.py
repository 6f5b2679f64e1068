"""TrafficService: decode, call, encode."""

# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

from typing import Any

import grpc.aio

from policy_api.v1 import traffic_pb2 as pb
from policy_api.v1 import traffic_pb2_grpc
from policyd.runtime import rpc
from policyd_server.services.authenticated import as_authenticated
from policyd_server.traffic.desk import TrafficDesk
from policyd_server.traffic.evaluator import Evaluator

Context = grpc.aio.ServicerContext[Any, Any]


class TrafficService(traffic_pb2_grpc.TrafficServiceServicer):
    """Shares of an alias, shadows and canaries."""

    def __init__(self, desk: TrafficDesk, evaluator: Evaluator) -> None:
        self._desk = desk
        self._evaluator = evaluator

    @rpc.unary
    async def SetTraffic(self, request: pb.SetTrafficRequest, context: Context) -> pb.SetTrafficResponse:
        """Changes the shares of an alias."""
        return pb.SetTrafficResponse(traffic=await self._desk.set(as_authenticated(request)))

    @rpc.unary
    async def GetTraffic(self, request: pb.GetTrafficRequest, context: Context) -> pb.GetTrafficResponse:
        """Returns shares, canary and history."""
        return pb.GetTrafficResponse(traffic=await self._desk.get(request.policy))

    @rpc.unary
    async def StartCanary(self, request: pb.StartCanaryRequest, context: Context) -> pb.StartCanaryResponse:
        """Begins a canary."""
        return pb.StartCanaryResponse(traffic=await self._desk.start(as_authenticated(request)))

    @rpc.unary
    async def CancelCanary(
        self, request: pb.CancelCanaryRequest, context: Context
    ) -> pb.CancelCanaryResponse:
        """Ends a canary."""
        return pb.CancelCanaryResponse(traffic=await self._desk.cancel(as_authenticated(request)))

    @rpc.unary
    async def SetShadow(self, request: pb.SetShadowRequest, context: Context) -> pb.SetShadowResponse:
        """Begins or ends a shadow."""
        return pb.SetShadowResponse(traffic=await self._desk.set_shadow(as_authenticated(request)))

    @rpc.unary
    async def CompareVersions(
        self, request: pb.CompareVersionsRequest, context: Context
    ) -> pb.CompareVersionsResponse:
        """Returns how shadows compare with the versions that answered."""
        return await self._desk.compare(request.policy)

    @rpc.unary
    async def EvaluateVersion(
        self, request: pb.EvaluateVersionRequest, context: Context
    ) -> pb.EvaluateVersionResponse:
        """Estimates a version's return from recorded episodes."""
        return await self._evaluator.evaluate(request)
