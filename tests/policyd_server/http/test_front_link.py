"""Calls to a front over the connection of the HTTP process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from policy_api.v1 import policy_pb2
from policyd.errors import DeadlineExceeded, InvalidArgument, NotFound, PolicydError, Unavailable
from policyd_server import front
from tests.policyd_server.http.conftest import Client
from tests.policyd_server.http.test_process import front_of
from tests.policyd_server.process import ServerProcess, needs_front

if front.AVAILABLE:
    from policyd_server.http.front_link import FrontConnection, connect

pytestmark = needs_front
ACT = b"/policy_api.v1.PolicyService/Act"


@pytest.fixture(scope="module")
def path(server: ServerProcess, client: Client) -> Path:
    assert client.get("/v2/health/ready").status == 200
    return front_of(server)


def over(path: Path, use: Callable[[FrontConnection], Awaitable[None]]) -> None:
    """Runs `use` with a connection to the front."""

    async def run() -> None:
        connection = await connect(path)
        try:
            async with asyncio.timeout(60):
                await use(connection)
        finally:
            connection.close()
            if connection._transport is not None:
                connection._transport.abort()  # it would stay open until the rest of a request is sent

    asyncio.run(run())


def asked(rows: int = 1, policy: str = "cartpole") -> bytes:
    """A request with this number of rows of zeros."""
    request = policy_pb2.ActRequest(policy=policy, seed=7)
    request.observations.raw = bytes(16 * rows)
    return request.SerializeToString()


def test_many_calls_at_a_time(path: Path) -> None:
    """Each call gets its own response, in any order and size, up to several HTTP/2 windows."""

    async def use(connection: FrontConnection) -> None:
        sizes = [1, 16_000, 3, 5_000, 1, 2, 12_000, 700, *range(1, 90)]
        calls = [connection.call(ACT, [], asked(rows), 60) for rows in sizes]
        answers = [policy_pb2.ActResponse.FromString(each) for each in await asyncio.gather(*calls)]
        assert [answer.batch_size for answer in answers] == sizes
        assert all(len(answer.actions.raw) == 8 * rows for answer, rows in zip(answers, sizes, strict=True))

    over(path, use)


@pytest.mark.parametrize(
    ("message", "error", "told"),
    [
        (asked(policy="nobody"), NotFound, "nobody"),
        (asked(0), InvalidArgument, "observations"),
        (b"\xff\xff", InvalidArgument, "do not parse"),
    ],
    ids=["no policy", "no rows", "no message"],
)
def test_an_error_arrives_as_it_was_raised(
    path: Path, message: bytes, error: type[PolicydError], told: str
) -> None:
    """The error has its kind and text, and the connection goes on."""

    async def use(connection: FrontConnection) -> None:
        with pytest.raises(error, match=told):
            await connection.call(ACT, [], message, 60)
        assert await connection.call(ACT, [], asked(), 60)

    over(path, use)


def test_a_call_that_is_given_up(path: Path) -> None:
    """A call that is given up leaves nothing waiting, and the others get responses."""

    async def use(connection: FrontConnection) -> None:
        given_up = asyncio.create_task(connection.call(ACT, [], asked(16_000), 60))
        other = asyncio.create_task(connection.call(ACT, [], asked(2), 60))
        await asyncio.sleep(0)  # both calls have begun
        given_up.cancel()
        assert policy_pb2.ActResponse.FromString(await other).batch_size == 2
        assert given_up.cancelled()
        assert not connection._waiting

    over(path, use)


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """A silent server ends in a deadline; one that closes or sends nonsense, in Unavailable."""

    async def run() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "odd"))
            listener.listen()
            silent = await connect(tmp_path / "odd")
            other, _ = listener.accept()
            with pytest.raises(DeadlineExceeded):
                await silent.call(ACT, [], asked(), 0.05)
            other.close()
            for farewell in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4):
                connection = await connect(tmp_path / "odd")
                other, _ = listener.accept()
                called = asyncio.create_task(connection.call(ACT, [], asked(), 60))
                await asyncio.sleep(0)  # the call has begun
                other.sendall(farewell)
                if not farewell:
                    other.close()
                with pytest.raises(Unavailable):
                    await called
                assert not connection.open
                other.close()

    asyncio.run(run())
