"""The default transport: grpc.aio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc.aio

from server.services.handlers import HandlerTable, Wrap
from server.settings import Settings


class GrpcioTransport:
    """Serves every method on the address of the settings, or on a Unix socket for another transport."""

    def __init__(
        self, handlers: HandlerTable, wraps: Sequence[Wrap], settings: Settings, socket: Path | None = None
    ) -> None:
        self.port = 0
        self._settings = settings
        self._socket = socket
        self._server = grpc.aio.server(options=_options(settings))
        handlers.serve_on(self._server, wraps)

    async def start(self) -> None:
        """Listens. FailedPrecondition: the address is taken, or open to strangers."""
        if self._socket is not None:
            self._server.add_insecure_port(f"unix:{self._socket}")
        else:
            self.port = self._settings.security.bind(self._server, self._settings.listen)
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Takes no more calls, and ends those in flight after `grace` seconds at the latest."""
        await self._server.stop(grace)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Without workers to share it with, a taken port is an error, not a second server that steals calls.
        ("grpc.so_reuseport", int(settings.processes > 1)),
    ]
