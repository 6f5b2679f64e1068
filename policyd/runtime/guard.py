"""Authorization in front of gRPC handlers.

Installed only if callers are configured. Otherwise it costs nothing.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from policyd.errors import PolicydError
from policyd.runtime import rpc, status
from policyd.runtime.authorization import Authorizer
from policyd.runtime.callers import Caller
from policyd.runtime.interceptor import Interceptor
from policyd.runtime.log import AUDIT
from policyd.runtime.log_limit import LogLimit, and_others
from policyd.runtime.origin import Origin

# For refusals of one kind: this many log lines per window, and the window's length in seconds.
REFUSALS_LOGGED, REFUSAL_WINDOW = 3, 60.0

_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("caller", default=None)


def current_caller() -> Caller | None:
    """Returns the authenticated caller of the current call; None: there is no authentication."""
    return _caller.get()


def set_caller(caller: Caller | None) -> None:
    """Sets the caller for code that runs without a guard in front of it."""
    _caller.set(caller)


def metadata_of(context: Any) -> Mapping[str, str | bytes]:
    """Returns the call's metadata. If a key came twice, the last one counts."""
    return dict(context.invocation_metadata() or ())


class Gate:
    """Admits calls or refuses them, and writes refusals to the audit log."""

    def __init__(self, authorizer: Authorizer) -> None:
        self.authorizer = authorizer
        self._limit = LogLimit(REFUSALS_LOGGED, REFUSAL_WINDOW)

    def admit(self, method: str, authorization: str | None, common_name: str | None, peer: str) -> Caller:
        """Returns the caller of an admitted call.

        `authorization` and `common_name` are as in `Authorizer.caller`. Raises Unauthenticated and
        PermissionDenied.
        """
        caller: Caller | None = None
        try:
            caller = self.authorizer.caller(authorization, common_name)
            self.authorizer.check(caller, method)
        except PolicydError as error:
            self._log_refusal(caller, method, error, peer)
            raise
        return caller

    def _log_refusal(self, caller: Caller | None, method: str, error: PolicydError, peer: str) -> None:
        """Writes a line to the audit log. If many refusals are equal, only some get a line."""
        name = caller.name if caller is not None else ""
        left_out = self._limit.passes((name, method, error.reason))
        if left_out is None:
            return
        fields = {"caller": name, "code": status.code_of(error).name, "method": method, "peer": peer}
        said = " ".join(f"{key}={value}" for key, value in fields.items() if value)
        AUDIT.info("refused %s%s", said, and_others(left_out), extra={"fields": fields})


class Guard(Interceptor):
    """Lets a call through to its handler, or answers UNAUTHENTICATED or PERMISSION_DENIED."""

    def __init__(self, gate: Gate, origin: Origin | None = None) -> None:
        super().__init__()
        self._gate = gate
        self._origin = origin or Origin()

    def covers(self, method: str) -> bool:
        """Whether the method needs a role."""
        return not self._gate.authorizer.is_open(method)

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:  # noqa: ARG002
        """Checks the call, and sets the caller that `current_caller` returns."""
        authorization = metadata_of(context).get("authorization")
        common_name = None if authorization is not None else self._origin.common_name(context)
        shown = authorization if isinstance(authorization, str) else None
        try:
            _caller.set(self._gate.admit(method, shown, common_name, self._origin.peer(context)))
        except PolicydError as error:
            await rpc.abort(context, error, method)
        yield
