"""The one place where handlers are registered and wrapped, whatever transport then serves them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer
from tritonclient.grpc import service_pb2_grpc

from policy_api.v1 import experience_pb2_grpc, policy_pb2_grpc, traffic_pb2_grpc
from policyd_server.oip.service import InferenceService
from policyd_server.services import training
from policyd_server.services.experience import ExperienceService
from policyd_server.services.health import HealthService
from policyd_server.services.policy import PolicyService
from policyd_server.services.traffic import TrafficService
from policyd_server.services.training import TrainingForwarder

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic only for type checkers
# A wrapper around every method: from its full name and its handler to a new handler.
Wrap = Callable[[str, Handler], Handler]

INFERENCE = "inference.GRPCInferenceService"
# Methods whose handlers take and return bytes, because they decode by themselves.
UNDECODED = frozenset({f"/policy_api.v1.PolicyService/{method}" for method in ("Act", "StreamAct")})
# Methods that return actions. Nothing may add to their cost.
HOT = UNDECODED | {f"/{INFERENCE}/ModelInfer"}


class HandlerRegistry:
    """Every method of every service.

    The generated `add_..._to_server` functions fill it, as if it were a server.
    """

    def __init__(self) -> None:
        self._methods: dict[str, dict[str, Handler]] = {}

    @property
    def services(self) -> Sequence[str]:
        """Names of the services."""
        return tuple(self._methods)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Does nothing: generated code also registers the same methods by name."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Handler]) -> None:
        """Takes one service's methods."""
        own = self._methods.setdefault(service, {})
        for name, handler in methods.items():
            own[name] = _bytes_only(f"/{service}/{name}", handler)

    def restrict(self, service: str, names: Collection[str]) -> None:
        """Keeps only these methods of a service. gRPC answers UNIMPLEMENTED to the others."""
        methods = self._methods[service]
        self._methods[service] = {name: handler for name, handler in methods.items() if name in names}

    def serve_on(self, server: grpc.aio.Server, wraps: Sequence[Wrap] = ()) -> None:
        """Registers all methods with a server. `wraps` surround each; the last is the outermost."""
        for service, methods in self._methods.items():
            wrapped = {name: _wrapped(f"/{service}/{name}", h, wraps) for name, h in methods.items()}
            server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, wrapped)])


def handler_registry(
    policy: PolicyService,
    inference: InferenceService,
    trainer: TrainingForwarder,
    health: HealthService,
    experience: ExperienceService,
    traffic: TrafficService,
) -> HandlerRegistry:
    """Returns the registry of this server."""
    registry = HandlerRegistry()
    filled: Any = registry  # used in the place of a server
    policy_pb2_grpc.add_PolicyServiceServicer_to_server(policy, filled)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, filled)
    registry.restrict(INFERENCE, vars(InferenceService))
    experience_pb2_grpc.add_ExperienceServiceServicer_to_server(experience, filled)
    traffic_pb2_grpc.add_TrafficServiceServicer_to_server(traffic, filled)
    registry.add_registered_method_handlers(training.SERVICE, trainer.handlers())
    health_pb2_grpc.add_HealthServicer_to_server(health, filled)
    names = [*registry.services, "grpc.reflection.v1alpha.ServerReflection"]
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(names), filled)
    return registry


def _wrapped(method: str, handler: Handler, wraps: Sequence[Wrap]) -> Handler:
    for wrap in wraps:
        handler = wrap(method, handler)
    return handler


def _bytes_only(method: str, handler: Handler) -> Handler:
    """Returns a handler without the generated decoding or encoding, where it does that itself."""
    if method not in UNDECODED:
        return handler
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(handler.unary_unary)
    assert handler.stream_stream is not None
    return grpc.stream_stream_rpc_method_handler(handler.stream_stream)
