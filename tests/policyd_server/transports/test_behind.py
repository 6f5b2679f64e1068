"""The server behind the front starts with the first call that needs it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policy_api.v1 import policy_pb2
from policyd.runtime.rpc_tally import BUCKETS
from policyd_server import front
from policyd_server.services.handlers import HandlerRegistry
from policyd_server.settings import Settings
from policyd_server.transports.grpcio import GrpcioTransport
from tests.policyd_server.process import Publish, StartServer, needs_front

if front.AVAILABLE:
    from policyd_server.front import binding
    from policyd_server.front.binding import Front
    from policyd_server.transports.behind import ServerBehind

pytestmark = needs_front
OTHER = "/test.Other/Say"


class _Fronted:
    """A front whose server behind it starts as `start` says."""

    def __init__(self, upstream: Path, start: Callable[[], bool]) -> None:
        self.front = Front(
            [("/test.Own/Say", False)], BUCKETS, upstream=str(upstream), upstream_later=True, authorize=False,
            max_message=1_000_000, max_held=8_000_000, max_streams=100, max_headers=16_384,
            max_connections=100,
            handshake_seconds=10.0, stall_seconds=30.0, keepalive_seconds=300.0, keepalive_timeout=20.0,
            max_age=0.0,
        )  # fmt: skip
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"
        listening.setblocking(False)
        self.front.listen(listening.detach(), False)
        self.asked = 0
        self.closed = False
        self._start = start

    def run(self) -> None:
        """Runs in a thread."""
        while not self.closed:
            for kind, *_ in self.front.wait(-1):
                if kind == binding.UPSTREAM:
                    self.asked += 1
                    self.front.upstream_is(there=self._start())


@contextmanager
def _fronted(upstream: Path, start: Callable[[], bool]) -> Iterator[_Fronted]:
    made = _Fronted(upstream, start)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.closed = True
        made.front.wake()
        thread.join()


@contextmanager
def _behind(path: Path) -> Iterator[Callable[[], bool]]:
    """A function that starts a server that sends messages back."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda message, _: message)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Other", {"Say": handler})])

    def start() -> bool:
        server.add_insecure_port(f"unix:{path}")
        server.start()
        return True

    yield start
    server.stop(None).wait()


def test_calls_that_come_before_it_listens_are_answered_by_it(tmp_path: Path) -> None:
    """The server behind is asked for once. The messages that came meanwhile have arrived whole."""
    came = threading.Event()
    with _behind(tmp_path / "rest.sock") as begin:

        def start() -> bool:
            assert came.wait(60)
            return begin()

        with _fronted(tmp_path / "rest.sock", start) as made, grpc.insecure_channel(made.address) as channel:
            say: Any = channel.unary_unary(OTHER)
            messages = [bytes([number]) * (1 + 9_000 * number) for number in range(8)]
            calls = [say.future(message, timeout=90) for message in messages]
            came.set()
            assert [call.result() for call in calls] == messages
            assert say(b"later", timeout=60) == b"later"
            assert made.asked == 1


def test_where_it_cannot_start_calls_fail_and_the_next_one_tries_again(tmp_path: Path) -> None:
    """Calls get UNAVAILABLE while the server behind cannot start. Then it starts."""
    outcomes = iter([False, True])
    with (
        _behind(tmp_path / "rest.sock") as begin,
        _fronted(tmp_path / "rest.sock", lambda: next(outcomes) and begin()) as made,
        grpc.insecure_channel(made.address) as channel,
    ):
        say: Any = channel.unary_unary(OTHER)
        with pytest.raises(grpc.RpcError) as raised:
            say(b"first", timeout=60)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert say(b"second", timeout=60) == b"second"
        assert made.asked == 2


def test_a_call_that_goes_while_it_waits_leaves_nothing(tmp_path: Path) -> None:
    """The client cancels before the server behind has started. Others get responses."""
    goes, gone = threading.Event(), threading.Event()
    with _behind(tmp_path / "rest.sock") as begin:

        def start() -> bool:
            goes.set()
            assert gone.wait(60)
            return begin()

        with _fronted(tmp_path / "rest.sock", start) as made, grpc.insecure_channel(made.address) as channel:
            say: Any = channel.unary_unary(OTHER)
            call = say.future(b"cancelled", timeout=90)
            assert goes.wait(60)
            call.cancel()
            gone.set()
            assert say(b"answered", timeout=60) == b"answered"


def test_it_starts_once(tmp_path: Path) -> None:
    """The server starts once, even if a call asks before the front knows that it listens."""

    class Counted(GrpcioTransport):
        started = 0

        async def start(self) -> None:
            Counted.started += 1
            await super().start()

    async def test(front: Front) -> None:
        settings = Settings(repository=tmp_path)
        made = partial(Counted, HandlerRegistry(), [], settings, tmp_path / "rest.sock")
        server = ServerBehind(made, front)
        await server.start()
        server.needed()
        await asyncio.sleep(0)
        await server.drain(0)
        await server.stop()

    with _fronted(tmp_path / "rest.sock", lambda: True) as fronted:
        asyncio.run(test(fronted.front))
    assert Counted.started == 1


@pytest.mark.parametrize("transport", ["front"])
def test_a_server_that_only_acts_starts_nothing_of_grpc(publish: Publish, start_server: StartServer) -> None:
    """Act and health checks do not start gRPC's core. The first other call does."""
    publish()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = start_server("--trainer", f"127.0.0.1:{nobody.getsockname()[1]}")
        x = policy_pb2.FloatArray(values=[0, 0, 0, 0])
        assert server.policy.Act(policy_pb2.ActRequest(observations=x), timeout=60).version == 1
        health = health_pb2_grpc.HealthStub(server.channel)
        asked = health_pb2.HealthCheckRequest(service="policy_api.v1.TrainingService")
        assert health.Check(asked, timeout=60).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not _grpc_threads(server.process.pid)
        listed = server.policy.ListPolicies(policy_pb2.ListPoliciesRequest(), timeout=60)
        assert [policy.name for policy in listed.policies] == ["cartpole"]
        assert _grpc_threads(server.process.pid)


def _grpc_threads(pid: int) -> list[str]:
    names = [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    return [name for name in names if name.startswith(("grpc", "event_engine"))]


@pytest.mark.parametrize("path", [OTHER, "/test.Own/Say"])
def test_headers_that_are_too_long_are_refused_by_every_method(tmp_path: Path, path: str) -> None:
    """The response has a status. It once had the request's own headers instead."""
    with (
        _fronted(tmp_path / "rest.sock", lambda: False) as made,
        grpc.insecure_channel(made.address) as channel,
    ):
        say: Any = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as refused:
            say(b"", metadata=[("x-a", "v" * 9000), ("x-b", "v" * 9000)], timeout=60)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert made.asked == 0
