"""The protocol's repository calls on a registry whose aliases decide what serves.

Load looks at the repository now instead of at the next poll. Unload never removes a version that an
alias names, because that would be an outage. It frees versions that were requested by number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from policyd.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from policyd_server.models.follower import Follower
from policyd_server.models.listing import PolicyListing
from policyd_server.models.resolver import VersionResolver

READY, UNAVAILABLE = "READY", "UNAVAILABLE"
LOADS_ON_DEMAND = "not in memory; loaded when it is asked for"
# A client may send it. It has no effect, because our models do not depend on each other.
_IGNORED = frozenset({"unload_dependents"})


class Registry:
    """Implements index, load and unload. `refresh_all` makes every worker follow a policy."""

    def __init__(
        self,
        follower: Follower,
        resolver: VersionResolver,
        listing: PolicyListing,
        refresh_all: Callable[[str], Awaitable[None]],
    ) -> None:
        self._follower = follower
        self._resolver = resolver
        self._listing = listing
        self._refresh_all = refresh_all

    async def index(self, *, ready_only: bool) -> pb.RepositoryIndexResponse:
        """Returns every version of every policy. READY: it is in memory."""
        response = pb.RepositoryIndexResponse()
        for policy in await self._listing.list():
            for version in policy.versions:
                if version.loaded or not ready_only:
                    response.models.add(
                        name=policy.name,
                        version=str(version.version),
                        state=READY if version.loaded else UNAVAILABLE,
                        reason="" if version.loaded else LOADS_ON_DEMAND,
                    )
        return response

    async def load(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Makes every alias serve the version that the repository names now.

        Without aliases, the newest version is loaded. Raises NotFound, InvalidArgument if the
        request has a configuration or files, and Unavailable if a version does not load.
        """
        _check_parameters(parameters)
        policy = await self._resolver.policy(name)
        await self._refresh_all(policy)
        self._check_loaded(policy)
        if self._follower.loaded_versions.serving(policy):
            return
        described = await self._listing.get(policy)
        if not described.versions:
            raise NotFound(f"{policy} has no version yet", reason="NO_VERSION")
        await self._resolver.version(policy, described.versions[-1].version)

    async def unload(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Releases the versions of a policy that no alias names.

        Raises FailedPrecondition if an alias names one.
        """
        _check_parameters(parameters)
        policy = await self._resolver.policy(name)
        serving = self._follower.loaded_versions.serving(policy)
        if serving:
            aliases = ", ".join(f"{alias} (version {loaded.version})" for alias, loaded in serving.items())
            message = f"{policy} is served under {aliases}; point its aliases elsewhere instead"
            raise FailedPrecondition(message, reason="SERVED_BY_ALIAS")
        self._follower.loaded_versions.forget(policy)

    def _check_loaded(self, policy: str) -> None:
        for (failing, alias), failure in self._follower.troubles.failures.items():
            if failing == policy:
                message = f"{policy}: {alias} names version {failure.version}: {failure.message}"
                raise Unavailable(message, retry_after=5.0, reason="VERSION_NOT_LOADED")


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    if unknown := sorted(set(parameters) - _IGNORED):
        wanted = "none: published versions do not change"
        raise InvalidArgument.of(f"parameters[{unknown[0]}]", got="a parameter", wanted=wanted)
