"""The protocol's paths. `docs/guide/http.md` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tritonclient.grpc import service_pb2 as pb

from policyd.errors import Unimplemented
from policyd_server.http import bodies, fields
from policyd_server.http.calls import Method
from policyd_server.http.gateway import Gateway
from policyd_server.http.messages import to_json
from policyd_server.http.open_inference.inferring import InferEndpoint

SMALL_BYTES = 64 * 1024  # largest body without tensors
_PREFIX = "/inference.GRPCInferenceService/"


def _method(name: str, request: Any, response: Any) -> Method:
    return Method(_PREFIX + name, request, response)


METADATA = _method("ServerMetadata", pb.ServerMetadataRequest, pb.ServerMetadataResponse)
MODEL = _method("ModelMetadata", pb.ModelMetadataRequest, pb.ModelMetadataResponse)
READY = _method("ModelReady", pb.ModelReadyRequest, pb.ModelReadyResponse)
CONFIG = _method("ModelConfig", pb.ModelConfigRequest, pb.ModelConfigResponse)
STATISTICS = _method("ModelStatistics", pb.ModelStatisticsRequest, pb.ModelStatisticsResponse)
INFER = _method("ModelInfer", pb.ModelInferRequest, pb.ModelInferResponse)
INDEX = _method("RepositoryIndex", pb.RepositoryIndexRequest, pb.RepositoryIndexResponse)
LOAD = _method("RepositoryModelLoad", pb.RepositoryModelLoadRequest, pb.RepositoryModelLoadResponse)
UNLOAD = _method("RepositoryModelUnload", pb.RepositoryModelUnloadRequest, pb.RepositoryModelUnloadResponse)
# Extensions of Triton that this server does not have.
ABSENT = ("trace/setting", "logging", "systemsharedmemory/{rest:path}", "cudasharedmemory/{rest:path}")


def routes(gateway: Gateway) -> Sequence[BaseRoute]:
    """Returns all routes below /v2 except health."""
    paths = _Paths(gateway)
    both = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    return [
        Route("/v2", paths.metadata),
        Route("/v2/models/stats", paths.statistics),
        *(Route(path, paths.model) for path in both),
        *(Route(f"{path}/ready", paths.ready) for path in both),
        *(Route(f"{path}/config", paths.config) for path in both),
        *(Route(f"{path}/stats", paths.statistics) for path in both),
        *(Route(f"{path}/infer", paths.infer, methods=["POST"]) for path in both),
        Route("/v2/repository/index", paths.index, methods=["POST"]),
        Route("/v2/repository/models/{model}/load", paths.load, methods=["POST"]),
        Route("/v2/repository/models/{model}/unload", paths.unload, methods=["POST"]),
        *(Route(f"/v2/{path}", _absent, methods=["GET", "POST"]) for path in ABSENT),
    ]


class _Paths:
    """The handler of each path: it translates the request, calls the service, translates back."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.infer = InferEndpoint(gateway, INFER).handle

    async def metadata(self, request: Request) -> Response:
        return JSONResponse(to_json(await self._call(request, METADATA, pb.ServerMetadataRequest())))

    async def model(self, request: Request) -> Response:
        return JSONResponse(to_json(await self._call(request, MODEL, _named(request, MODEL))))

    async def ready(self, request: Request) -> Response:
        answer = await self._call(request, READY, _named(request, READY))
        told = {"name": request.path_params["model"], "ready": answer.ready}
        return JSONResponse(told, 200 if answer.ready else 503)

    async def config(self, request: Request) -> Response:
        answer = await self._call(request, CONFIG, _named(request, CONFIG))
        return JSONResponse(to_json(answer.config, digits=False))

    async def statistics(self, request: Request) -> Response:
        answer = await self._call(request, STATISTICS, _named(request, STATISTICS))
        return JSONResponse(to_json(answer, digits=False))

    async def index(self, request: Request) -> Response:
        given = await _small(request)
        ready = fields.of_kind(given.get("ready", False), bool, "ready")
        answer = await self._call(request, INDEX, pb.RepositoryIndexRequest(ready=ready))
        return JSONResponse(to_json(answer)["models"])

    async def load(self, request: Request) -> Response:
        return await self._move(request, LOAD)

    async def unload(self, request: Request) -> Response:
        return await self._move(request, UNLOAD)

    async def _move(self, request: Request, method: Method) -> Response:
        given = await _small(request)
        message: Any = method.request(model_name=request.path_params["model"])
        for name, value in fields.of_kind(given.get("parameters", {}), dict, "parameters").items():
            if isinstance(value, bool):
                message.parameters[name].bool_param = value
            else:
                message.parameters[name].string_param = fields.text(str(value), f"parameters[{name}]")
        await self._call(request, method, message)
        return Response()

    async def _call(self, request: Request, method: Method, message: Any) -> Any:
        return await self._gateway.calls.unary(request, method, message)


def _named(request: Request, method: Method) -> Any:
    """Returns the request message with the names in the path. Without a name: all models."""
    version = request.path_params.get("version", "")
    return method.request(name=request.path_params.get("model", ""), version=version)


async def _small(request: Request) -> dict[str, Any]:
    """Returns the JSON of a small body. An empty body is an empty object."""
    body = await bodies.read(request, SMALL_BYTES)
    return bodies.json_of(body) if body.strip() else {}


async def _absent(request: Request) -> NoReturn:
    raise Unimplemented(f"{request.url.path}: this server has no such extension")
