"""grpc.aio's server: behind the front, or alone where the front is not compiled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc.aio

from policyd.runtime import listen_address
from policyd_server.services.handlers import HandlerRegistry, Wrap
from policyd_server.settings import Settings
from policyd_server.transports.connections import close_connections
from policyd_server.transports.draining import Draining

# Most streams of one connection. A client's further calls wait at the client.
MAX_STREAMS = 256
# How many calls gRPC's core may have read before Python takes them: beyond the first number some
# are refused, beyond the second all.
MAX_PENDING, MAX_PENDING_HARD = 200, 400
MAX_REQUESTS_PER_READ = 8  # requests read of one connection before the others have a turn
MAX_METADATA_BYTES = 16 * 1024
# Pause between the last response and the end of its connection, because gRPC's core does not tell
# when it has written the response.
FLUSH_SECONDS = 0.1


class GrpcioTransport:
    """Serves every method on the settings' addresses.

    As the server behind another transport, it serves on a Unix socket.
    """

    def __init__(
        self, handlers: HandlerRegistry, wraps: Sequence[Wrap], settings: Settings, socket: Path | None = None
    ) -> None:
        self.address = settings.listen
        self._settings = settings
        self._socket = socket
        self._ports: list[int] = []  # TCP ports on which it listens
        self._draining = Draining()
        self._server = grpc.aio.server(options=_options(settings))
        handlers.serve_on(self._server, [*wraps, self._draining])

    async def start(self) -> None:
        """Listens.

        Raises FailedPrecondition if the address is taken, or if other machines reach it without
        TLS.
        """
        if self._socket is not None:
            self._server.add_insecure_port(f"unix:{self._socket}")
        else:
            bound = [self._bind(address) for address in listen_address.each(self._settings.listen)]
            self.address = ",".join(bound)
        await self._server.start()

    def _bind(self, address: str) -> str:
        port = self._settings.security.bind(self._server, address)
        if listen_address.unix_path(address):
            return address
        self._ports.append(port)
        return f"{address.rpartition(':')[0]}:{port}"

    async def drain(self, grace: float) -> None:
        """Refuses new calls with UNAVAILABLE, and ends those in flight after `grace` seconds.

        Watchers of its health are told. They do not count as calls in flight.
        """
        await self._draining.drain(grace)

    async def stop(self, grace: float) -> None:
        """Drains, then closes all connections."""
        await self.drain(grace)
        await asyncio.sleep(FLUSH_SECONDS)
        for port in self._ports:
            close_connections(port)
        await self._server.stop(0)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        # gRPC's core frees a stream some time after its end, and would still count it. The client's
        # next call would then be refused with RST_STREAM.
        ("grpc.http.overload_protection", 0),
        ("grpc.server.max_pending_requests", MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_HARD),
        ("grpc.http2.max_requests_per_read", MAX_REQUESTS_PER_READ),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        # Only "identity", because gRPC's core inflates a whole message before it checks its size.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        # Without workers, nobody shares the port. A taken port is then an error; otherwise a second
        # server could take calls away from the first.
        ("grpc.so_reuseport", int(settings.supervised)),
        *_age(settings.max_connection_age),
    ]


def _age(seconds: float) -> list[tuple[str, int]]:
    return [("grpc.max_connection_age_ms", max(1, round(seconds * 1000)))] if seconds else []
