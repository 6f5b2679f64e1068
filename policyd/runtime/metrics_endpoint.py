"""The endpoint that Prometheus scrapes: /metrics on its own address, plain HTTP, without roles.

Metrics hold names, counts and times; never observations, tokens or settings.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address

MAX_CONNECTIONS = 32
IDLE_SECONDS = 10.0  # for a client to send its request, or to take some of the response
_LOG = logging.getLogger(__name__)


class MetricsEndpoint:
    """Takes its address at once, and answers as soon as there is a registry.

    So its port is known early, even if the address asked for any free port.
    """

    def __init__(self, address: str) -> None:
        """Raises FailedPrecondition if the address is taken, or does not belong to this machine."""
        host, port = listen_address.host_of(address), int(address.rpartition(":")[2])
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._server = (_Server6 if family == socket.AF_INET6 else _Server)(
                (host, port), _Handler, bind_and_activate=False
            )
            self._bind()
        except OSError as error:
            message = f"cannot serve metrics on {address}: {error.strerror}"
            raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error
        self.address = f"{address.rpartition(':')[0]}:{self._server.server_port}"

    @contextmanager
    def serving(self, registry: CollectorRegistry) -> Iterator[None]:
        """Answers while the block runs."""
        self._server.set_app(make_wsgi_app(registry))
        ending, end = os.pipe()
        thread = threading.Thread(target=self._serve, args=[ending], daemon=True)
        thread.start()
        _LOG.info("metrics on http://%s/metrics", self.address)
        try:
            yield
        finally:
            os.write(end, b"\0")  # closing it is not enough: other code of the process has copies of it
            thread.join()
            os.close(end)
            os.close(ending)

    def _serve(self, ending: int) -> None:
        """Answers until something comes through the pipe. Between requests it sleeps.

        The library's own loop wakes up twice per second.
        """
        self._server.timeout = 0  # `handle_request` waits no longer for a request that is gone
        with selectors.DefaultSelector() as waiting:
            waiting.register(ending, selectors.EVENT_READ)
            waiting.register(self._server, selectors.EVENT_READ)
            while all(key.fileobj is self._server for key, _ in waiting.select()):
                self._server.handle_request()

    def close(self) -> None:
        """Releases the address."""
        self._server.server_close()

    def _bind(self) -> None:
        try:
            self._server.server_bind()
            # from here on the port is ours, and clients that connect have to wait
            self._server.server_activate()
        except OSError:
            self.close()
            raise


class _Server(ThreadingWSGIServer):
    """Answers each connection in a thread, but not more than MAX_CONNECTIONS."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread. Closes the connection if too many are open."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = IDLE_SECONDS  # of the socket

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        """Logs nothing, because a reader comes every few seconds."""


def summed_registry() -> CollectorRegistry:
    """A registry that adds up the processes that share the folder named by the environment."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types
    return registry


def forget_process(pid: int) -> None:
    """Removes the gauges of a process that has ended. Its counters stay in the sums."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library has no types
