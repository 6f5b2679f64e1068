"""A server that is slow to answer a new connection is reached."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from policyd import Credentials
from policyd.client.channel import open_channel

DELAY = 1.5  # seconds by which the first byte of a connection is delayed
METHOD = "/test.Echo/Echo"


class _Echo(grpc.GenericRpcHandler):
    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


@pytest.fixture
def slow_address() -> Iterator[str]:
    """An address whose connections reach a server only after DELAY."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_forward_slowly, args=(listener, port), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    server.stop(None)


def _forward_slowly(listener: socket.socket, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # closed: the test has ended
            return
        threading.Thread(target=_join, args=(client, port), daemon=True).start()


def _join(client: socket.socket, port: int) -> None:
    time.sleep(DELAY)  # the client has to wait for it
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has closed
        return


def test_a_slow_connection_is_waited_for(slow_address: str) -> None:
    """The client keeps the connection, instead of giving it up and starting again."""
    with open_channel(slow_address, Credentials()) as channel:
        call: Callable[..., bytes] = channel.unary_unary(METHOD)
        assert call(b"hello", timeout=60, wait_for_ready=True) == b"hello"
