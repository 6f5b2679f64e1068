"""How many bytes of bodies are held: by all requests together, and by one that nobody vouches for.

Each body has a limit of its own (bodies.py). Without these two, thousands of connections could each
hold a body of that size, and callers without a token too.
"""

from __future__ import annotations

from starlette.requests import Request

from policyd.errors import Exhausted
from policyd_server.http.access import Access

MAX_HELD_BYTES = 256 * 2**20
#: A larger body is not read before the caller has shown valid credentials.
ANONYMOUS_BYTES = 16 * 1024


class Admission:
    """What all requests hold together."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.held = 0


class Share:
    """What one request holds. It is released when the request has been answered."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._bytes = 0

    def expect(self, request: Request, size: int) -> None:
        """Checks a body of which so many bytes are announced or have come.

        Raises Unauthenticated if it is large and callers are configured, but none is shown.
        """
        if size > ANONYMOUS_BYTES:
            self._admission.access.caller(request)

    def take(self, request: Request, size: int) -> None:
        """Notes that so many more bytes are held. Also raises Exhausted: all hold too much."""
        self.expect(request, self._bytes + size)
        if self._admission.held + size > MAX_HELD_BYTES:
            message = f"all requests under way hold {MAX_HELD_BYTES} bytes of bodies; try again"
            raise Exhausted(message, reason="TOO_MANY_BODIES", retry_after=1.0)
        self._admission.held += size
        self._bytes += size

    def release(self) -> None:
        """Notes that nothing is held any more."""
        self._admission.held -= self._bytes
        self._bytes = 0
