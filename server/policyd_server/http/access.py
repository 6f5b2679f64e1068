"""Who calls over HTTP, and what that caller may do: by the callers that the services know."""

from __future__ import annotations

from starlette.requests import Request

from policyd.errors import PolicydError, Unauthenticated
from policyd.runtime.authorization import Authorizer
from policyd.runtime.callers import Caller
from policyd.runtime.guard import Gate
from policyd_server.http.calls import authorization_of, common_name_of, peer_of


class Access:
    """Finds out what a caller may do, for pages and for what no service guards."""

    def __init__(self, gate: Gate | None) -> None:
        """`gate`: None if no callers are configured; then everyone may do everything."""
        self._gate = gate

    @property
    def _authorizer(self) -> Authorizer | None:
        return None if self._gate is None else self._gate.authorizer

    @property
    def configured(self) -> bool:
        """Whether callers are configured. If not, no request needs a token."""
        return self._gate is not None

    def caller(self, request: Request) -> Caller | None:
        """Returns the authenticated caller. None: no callers are configured.

        Raises Unauthenticated if the request has no valid token.
        """
        if self._authorizer is None:
            return None
        authorization = authorization_of(request)
        common_name = None if authorization is not None else common_name_of(request)
        return self._authorizer.caller(authorization, common_name)

    def may(self, request: Request, method: str) -> bool:
        """Whether the caller has the role that the method (full name) needs."""
        if self._authorizer is None or self._authorizer.is_open(method):
            return True
        try:
            caller = self.caller(request)
            assert caller is not None
            self._authorizer.check(caller, method)
        except PolicydError:
            return False
        return True

    def admit(self, request: Request, method: str) -> None:
        """Checks a request as the guard of the services does.

        Raises Unauthenticated or PermissionDenied, and writes the audit log.
        """
        if self._gate is None or self._gate.authorizer.is_open(method):
            return
        authorization = authorization_of(request)
        common_name = None if authorization is not None else common_name_of(request)
        self._gate.admit(method, authorization, common_name, peer_of(request))

    def is_anonymous(self, request: Request) -> bool:
        """Whether callers are configured and this one has shown no valid credentials."""
        try:
            self.caller(request)
        except Unauthenticated:
            return True
        return False
