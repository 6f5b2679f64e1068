"""uvicorn's HTTP/1.1, whose end waits for responses and not for clients that do nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS = 2.0  # how long a client may do nothing while the server ends


class EndingProtocol(HttpToolsProtocol):
    """One connection. While the server ends, it is cut off if its client does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._linger_timer: asyncio.TimerHandle | None = None
        self._moved = False  # since the last check: bytes came, or the client has read enough

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the timer."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called when the server ends. The connection closes after the response under way."""
        super().shutdown()
        self._look_again()

    def resume_writing(self) -> None:
        """Called when the client has read enough."""
        self._moved = True
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the client."""
        self._moved = True
        super().data_received(data)

    def _receives(self) -> bool:
        """Whether the body of a request is incomplete."""
        return bool(getattr(self.cycle, "more_body", False))

    def _look_again(self) -> None:
        self._moved = False
        waiting = self.transport.get_write_buffer_size()
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self._end_lingering, waiting)

    def _end_lingering(self, before: int) -> None:
        """Cuts the connection off if nothing has moved.

        `before`: the unsent bytes at the last check.
        """
        takes_nothing = 0 < before <= self.transport.get_write_buffer_size()
        if not self._moved and (takes_nothing or self._receives()):
            self.transport.abort()
        else:
            self._look_again()
