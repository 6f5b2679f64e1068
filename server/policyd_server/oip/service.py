"""inference.GRPCInferenceService: decode, call, encode. What is not here answers UNIMPLEMENTED."""

# ruff: noqa: N802, ARG002 -- gRPC names the methods and their arguments

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc.aio
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from policyd.runtime import rpc
from policyd.version import __version__
from policyd_server.acting.actor import Actor
from policyd_server.acting.direct import DirectMethod
from policyd_server.models.listing import PolicyListing
from policyd_server.models.version import LoadedVersion
from policyd_server.oip import description, statistics
from policyd_server.oip.infer import Inference, StreamInference, failed, succeeded
from policyd_server.oip.registry import Registry
from policyd_server.oip.request import names
from policyd_server.oip.statistics import Statistics, Told
from policyd_server.services.health import HealthService

Context = grpc.aio.ServicerContext[Any, Any]
EXTENSIONS = ("model_repository", "model_configuration", "binary_tensor_data", "parameters", "statistics")


class InferenceService(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped base
    """Serves policies as models: the model's name is the policy's, and so are its versions."""

    def __init__(
        self,
        actor: Actor,
        listing: PolicyListing,
        registry: Registry,
        health: HealthService,
        others: Callable[[str], Awaitable[list[Told]]],
    ) -> None:
        """`others`: returns what the server's other workers count, of a policy or of all."""
        self.statistics = Statistics()
        self._others = others
        self._inference = Inference(actor, self.statistics)
        self._resolver = actor.resolver
        self._max_rows = actor.max_rows
        self._listing = listing
        self._registry = registry
        self._health = health

    @property
    def direct(self) -> Sequence[DirectMethod]:
        """Returns ModelInfer and ModelStreamInfer for a front."""
        return self._inference, StreamInference(self._inference)

    @rpc.unary
    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        """Returns true: a server that answers is live."""
        return pb.ServerLiveResponse(live=True)

    @rpc.unary
    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        """Returns what grpc.health.v1 says about the server as a whole."""
        return pb.ServerReadyResponse(ready=self._health.serving)

    @rpc.unary
    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """Returns whether the version is in memory. Others are loaded when they are asked for."""
        return pb.ModelReadyResponse(ready=self._resolver.at_hand(*names(request)) is not None)

    @rpc.unary
    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        """Returns name, version, and the extensions of the protocol that it serves."""
        return pb.ServerMetadataResponse(name="policyd", version=__version__, extensions=EXTENSIONS)

    @rpc.unary
    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """Returns versions and tensors."""
        model = await self._model(request)
        policy = await self._listing.get(model.policy)
        return description.metadata(model, [version.version for version in policy.versions])

    @rpc.unary
    async def ModelConfig(self, request: pb.ModelConfigRequest, context: Context) -> pb.ModelConfigResponse:
        """Returns the model's configuration, which load generators ask for."""
        model = await self._model(request)
        return pb.ModelConfigResponse(config=description.configuration(model, self._max_rows))

    @rpc.unary
    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """Returns the statistics of one version or of several, summed over all workers.

        If the request names no model or no version, it returns those of all versions in memory.
        """
        sums = self.statistics.sums(request.name, await self._others(request.name))
        if request.version:
            model = await self._model(request)
            keys = [(model.policy, model.version)]
        else:
            policies = [await self._listing.get(request.name)] if request.name else None
            policies = policies or await self._listing.list()
            versions = [((p.name, v.version), v.loaded) for p in policies for v in p.versions]
            keys = [key for key, loaded in versions if loaded or key in sums]
        return pb.ModelStatisticsResponse(
            model_stats=[statistics.message(key, sums.get(key) or statistics.Figures()) for key in keys]
        )

    @rpc.unary
    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Returns actions for a batch of observations."""
        return await self._inference.infer(request)

    @rpc.stream
    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """As ModelInfer over one stream, in order. After an error the stream goes on."""
        async for request in request_iterator:
            try:
                answer = await self._inference.infer(request)
            except Exception as error:  # noqa: BLE001 -- an error is a response too
                yield failed(request, error)
                continue
            yield succeeded(answer)

    @rpc.unary
    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        """Returns every version. Those in memory are READY."""
        return await self._registry.index(ready_only=request.ready)

    @rpc.unary
    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Follows the repository now."""
        await self._registry.load(request.model_name, request.parameters)
        return pb.RepositoryModelLoadResponse()

    @rpc.unary
    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Releases the versions that no alias names."""
        await self._registry.unload(request.model_name, request.parameters)
        return pb.RepositoryModelUnloadResponse()

    async def _model(
        self, request: pb.ModelMetadataRequest | pb.ModelConfigRequest | pb.ModelStatisticsRequest
    ) -> LoadedVersion:
        asked = names(request)
        return self._resolver.at_hand(*asked) or await self._resolver.find(*asked)
