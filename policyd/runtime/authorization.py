"""The role that each call needs, and the check that its caller has it. No transport here."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from policyd.errors import PermissionDenied, Unauthenticated
from policyd.runtime.callers import Caller, Callers, Role

# The role that each method needs, or each service (its name ends with a slash). All other methods
# need ADMIN.
ROLES: Mapping[str, Role] = {
    "/policy_api.v1.PolicyService/Act": Role.ACT,
    "/policy_api.v1.PolicyService/StreamAct": Role.ACT,
    "/policy_api.v1.PolicyService/GetPolicy": Role.ACT,
    "/policy_api.v1.PolicyService/ListPolicies": Role.ACT,
    "/policy_api.v1.PolicyService/ExportVersion": Role.TRAIN,
    "/policy_api.v1.PolicyService/ImportVersion": Role.ADMIN,
    "/policy_api.v1.PolicyService/GetServerInfo": Role.ACT,
    "/policy_api.v1.PolicyService/SetAlias": Role.ADMIN,
    "/policy_api.v1.PolicyService/RollbackAlias": Role.ADMIN,
    "/policy_api.v1.TrainingService/": Role.TRAIN,
    "/policy_api.v1.ExperienceService/ReportOutcomes": Role.ACT,
    "/policy_api.v1.ExperienceService/StreamEpisode": Role.ACT,
    "/policy_api.v1.ExperienceService/GetExperience": Role.TRAIN,
    "/policy_api.v1.ExperienceService/ExportEpisodes": Role.TRAIN,
    "/policy_api.v1.TrafficService/GetTraffic": Role.ACT,
    "/policy_api.v1.TrafficService/CompareVersions": Role.ACT,
    "/policy_api.v1.TrafficService/EvaluateVersion": Role.TRAIN,
    "/policy_api.v1.TrafficService/": Role.ADMIN,
    "/inference.GRPCInferenceService/": Role.ACT,
    "/inference.GRPCInferenceService/RepositoryModelLoad": Role.ADMIN,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Role.ADMIN,
}

# The services that the option `--open` may open to everyone, by the option's words.
OPENABLE: Mapping[str, tuple[str, ...]] = {
    "health": ("/grpc.health.v1.Health/",),
    "reflection": (
        "/grpc.reflection.v1.ServerReflection/",
        "/grpc.reflection.v1alpha.ServerReflection/",
    ),
}


class Authorizer:
    """Decides whether a call is allowed, from its method and credentials."""

    def __init__(self, callers: Callers, open_to_all: Collection[str] = tuple(OPENABLE)) -> None:
        """`open_to_all`: keys of OPENABLE."""
        self._callers = callers
        self._open = frozenset(service for name in open_to_all for service in OPENABLE[name])

    def is_open(self, method: str) -> bool:
        """Whether the method needs no role."""
        return _service(method) in self._open

    def caller(self, authorization: str | None, common_name: str | None) -> Caller:
        """Returns the caller that the credentials prove.

        `authorization` is the metadata of that name; `common_name` is from the verified client
        certificate. Raises Unauthenticated if neither is valid.
        """
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            caller = self._callers.by_token(token) if scheme.lower() == "bearer" else None
        else:
            caller = self._callers.by_certificate(common_name) if common_name else None
        if caller is not None:
            return caller
        wanted = "metadata `authorization: Bearer TOKEN` with a valid token, or a known client certificate"
        raise Unauthenticated(f"got no valid credentials, expected {wanted}")

    def check(self, caller: Caller, method: str) -> None:
        """Raises PermissionDenied if the caller lacks the role that the method needs."""
        role = ROLES.get(method) or ROLES.get(_service(method)) or Role.ADMIN
        if role not in caller.roles:
            message = f"{caller.name} lacks the role {role}, which {method} needs"
            raise PermissionDenied(message, reason="ROLE_MISSING")


def _service(method: str) -> str:
    return method[: method.rfind("/") + 1]
