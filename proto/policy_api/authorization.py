"""Which role each call needs, and whether its caller has it. Knows methods and credentials, no transport."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from policy_api.callers import Caller, Callers, Role
from policy_api.errors import PermissionDenied, Unauthenticated

# Full method, or a service with its slash, to the role that it needs. What is not here needs ADMIN.
ROLES: Mapping[str, Role] = {
    "/policy_api.v1.PolicyService/Act": Role.ACT,
    "/policy_api.v1.PolicyService/StreamAct": Role.ACT,
    "/policy_api.v1.PolicyService/GetPolicy": Role.ACT,
    "/policy_api.v1.PolicyService/ListPolicies": Role.ACT,
    "/policy_api.v1.PolicyService/SetAlias": Role.ADMIN,
    "/policy_api.v1.PolicyService/RollbackAlias": Role.ADMIN,
    "/policy_api.v1.TrainingService/": Role.TRAIN,
    "/inference.GRPCInferenceService/": Role.ACT,
    "/inference.GRPCInferenceService/RepositoryModelLoad": Role.ADMIN,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Role.ADMIN,
}

# What may be open to everyone, by the name that the setting `--open` uses.
OPENABLE: Mapping[str, tuple[str, ...]] = {
    "health": ("/grpc.health.v1.Health/",),
    "reflection": (
        "/grpc.reflection.v1.ServerReflection/",
        "/grpc.reflection.v1alpha.ServerReflection/",
    ),
}


class Authorizer:
    """Decides on calls by their method and credentials."""

    def __init__(self, callers: Callers, open_to_all: Collection[str] = tuple(OPENABLE)) -> None:
        """`open_to_all`: names out of OPENABLE."""
        self._callers = callers
        self._open = frozenset(service for name in open_to_all for service in OPENABLE[name])

    def is_open(self, method: str) -> bool:
        """Whether the method needs no role."""
        return _service(method) in self._open

    def caller(self, authorization: str | None, common_name: str | None) -> Caller:
        """Who calls. `authorization`: the metadata of that name; `common_name`: of the verified certificate.

        Unauthenticated: no valid credentials.
        """
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            caller = self._callers.by_token(token) if scheme.lower() == "bearer" else None
        else:
            caller = self._callers.by_certificate(common_name) if common_name else None
        if caller is not None:
            return caller
        wanted = "metadata `authorization: Bearer TOKEN` with a valid token, or a known client certificate"
        raise Unauthenticated(f"no valid credentials came, wanted {wanted}")

    def check(self, caller: Caller, method: str) -> None:
        """PermissionDenied: the caller has not the role that the method needs."""
        role = ROLES.get(method) or ROLES.get(_service(method)) or Role.ADMIN
        if role not in caller.roles:
            message = f"{caller.name} has not the role {role}, which {method} needs"
            raise PermissionDenied(message, reason="ROLE_MISSING")


def _service(method: str) -> str:
    return method[: method.rfind("/") + 1]
