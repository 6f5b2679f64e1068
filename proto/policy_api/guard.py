"""Authorization in front of gRPC handlers.

Installed only where callers are configured: without, no call pays for it.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from policy_api import rpc
from policy_api.authorization import Authorizer
from policy_api.callers import Caller
from policy_api.errors import PolicydError
from policy_api.interceptor import Around

_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("caller", default=None)


def current_caller() -> Caller | None:
    """The authenticated caller of the call that this code runs in; None: there is no authentication."""
    return _caller.get()


def metadata_of(context: Any) -> Mapping[str, str | bytes]:
    """The call's metadata; of keys that came twice, the last."""
    return dict(context.invocation_metadata() or ())


class Guard(Around):
    """Lets a call through to its handler, or answers UNAUTHENTICATED or PERMISSION_DENIED."""

    def __init__(self, authorizer: Authorizer) -> None:
        super().__init__()
        self._authorizer = authorizer

    def covers(self, method: str) -> bool:
        """All but what is open to everyone."""
        return not self._authorizer.is_open(method)

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:  # noqa: ARG002
        """Decides, then notes the caller for whoever asks `current_caller`."""
        authorization = metadata_of(context).get("authorization")
        names = () if authorization is not None else context.auth_context().get("x509_common_name", ())
        common_name = names[0].decode() if names else None
        try:
            caller = self._authorizer.caller(
                authorization if isinstance(authorization, str) else None, common_name
            )
            _caller.set(caller)
            self._authorizer.check(caller, method)
        except PolicydError as error:
            await rpc.abort(context, error, method)
        yield
