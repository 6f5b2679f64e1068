"""The limits: servers that send back the bytes that came, on each transport."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import click
import grpc

SERVICE = "benchmark.Echo"


@click.command(help=__doc__)
@click.option("--transport", type=click.Choice(["grpcio", "native"]), required=True)
@click.option("--port", type=int, default=0, help="A fixed port: several processes may share it (grpcio).")
@click.option("--port-file", type=click.Path(path_type=Path), required=True)
def main(transport: str, port: int, port_file: Path) -> None:
    """Serves until SIGTERM."""

    def announce(bound: int) -> None:
        port_file.write_text(f"127.0.0.1:{bound}")

    if transport == "native":
        serve_native(announce)
    else:
        asyncio.run(serve_grpcio(port, announce))


async def _say(request: bytes, _context: object) -> bytes:
    return request


async def _chat(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def serve_grpcio(port: int, announce: Callable[[int], None]) -> None:
    """grpc.aio with two generic handlers and no serializers."""
    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "Say": grpc.unary_unary_rpc_method_handler(_say),
        "Chat": grpc.stream_stream_rpc_method_handler(_chat),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    announce(bound)
    await stop.wait()
    await server.stop(1)


def serve_native(announce: Callable[[int], None]) -> None:
    """The front's own loop, answering from the thread that receives."""
    from pygrpc_native import EVENT_CALL, NativeGrpcFront  # noqa: PLC0415  # only this process has it loaded

    front = NativeGrpcFront("127.0.0.1:0", [(f"/{SERVICE}/Say", False)])
    front.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: front.close())
    announce(front.bound_port)
    while (events := front.recv_batch(64, 200)) is not None:
        for kind, call_id, _method, payload, _key in events:
            if kind == EVENT_CALL and payload is not None:
                front.respond(call_id, payload)


if __name__ == "__main__":
    main()
