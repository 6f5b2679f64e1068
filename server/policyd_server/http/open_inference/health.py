"""Health of the Open Inference Protocol, open to everyone by default.

/v2/health/live, /v2/health/ready.
"""

from __future__ import annotations

from collections.abc import Sequence

from grpc_health.v1 import health_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from policyd.errors import PolicydError
from policyd_server.http.calls import Method
from policyd_server.http.gateway import Gateway

CHECK = Method("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)


def routes(gateway: Gateway) -> Sequence[BaseRoute]:
    """Returns the routes of the probes.

    Their status is the answer. They have a body because KServe's client reads one.
    """

    async def live(request: Request) -> Response:
        gateway.access.admit(request, CHECK.path)
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        gateway.access.admit(request, CHECK.path)
        try:
            answer = await gateway.calls.unary(request, CHECK, health_pb2.HealthCheckRequest())
        except PolicydError:
            return JSONResponse({"ready": False}, 503)
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return JSONResponse({"ready": serving}, 200 if serving else 503)

    return [Route("/v2/health/live", live), Route("/v2/health/ready", ready)]
