"""PolicyClient's and AsyncPolicyClient's streams against a real server."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from policyd import AsyncPolicyClient, PolicyClient
from policyd.errors import InvalidArgument, PolicydError, Unavailable
from tests.policyd_server.process import Publish, StartServer

STEPS = 50


def _observations(step: int) -> list[list[float]]:
    return [[step / 10, 0.0, 0.0, 0.0]]


def test_a_stream_answers_in_order_what_act_answers(publish: Publish, start_server: StartServer) -> None:
    """Response i of a stream equals that of a single call, in both clients."""
    publish()
    address = start_server().address

    async def streamed() -> list[int]:
        async with AsyncPolicyClient(address, timeout=60) as client, client.stream(timeout=60) as stream:
            return [
                int((await stream.act(_observations(i), seed=1, first_row=i)).actions[0])
                for i in range(STEPS)
            ]

    with PolicyClient(address, timeout=60) as client:
        single = [int(client.act(_observations(i), seed=1, first_row=i).actions[0]) for i in range(STEPS)]
        with client.stream(timeout=60) as stream:
            answers = [stream.act(_observations(i), seed=1, first_row=i) for i in range(STEPS)]
    assert [int(answer.actions[0]) for answer in answers] == single
    assert asyncio.run(streamed()) == single


def test_a_pinned_stream_keeps_its_version(publish: Publish, start_server: StartServer) -> None:
    """The version that responded first responds in the whole episode, until it is unpinned."""
    publish()
    publish(promote=False)
    address = start_server().address
    with PolicyClient(address, timeout=60) as client, client.stream(pin_version=True) as stream:
        assert stream.act(_observations(0)).version == 1
        client.set_alias("cartpole", 2)
        assert (stream.act(_observations(1)).version, stream.pinned) == (1, True)
        answer = stream.act(_observations(2), unpin_version=True)
        assert (answer.version, stream.pinned) == (2, False)


def test_many_streams_and_calls_at_a_time_are_answered(publish: Publish, start_server: StartServer) -> None:
    """Calls beyond the connections of the compiled core go through grpcio."""
    publish()
    with PolicyClient(start_server().address, timeout=60) as client, ExitStack() as open_streams:
        streams = []
        for _ in range(20):
            streams.append(open_streams.enter_context(client.stream()))
            assert {stream.act(_observations(0), seed=1).version for stream in streams} == {1}
            assert client.act(_observations(0), seed=1).version == 1


def test_a_pinned_asynchronous_stream_keeps_its_version(publish: Publish, start_server: StartServer) -> None:
    """The same holds on an event loop."""
    publish()
    publish(promote=False)
    address = start_server().address

    async def versions() -> list[int]:
        async with (
            AsyncPolicyClient(address, timeout=60) as client,
            client.stream(pin_version=True) as stream,
        ):
            found = [(await stream.act(_observations(0))).version]
            with PolicyClient(address, timeout=60) as other:
                await asyncio.to_thread(other.set_alias, "cartpole", 2)
            found.append((await stream.act(_observations(1))).version)
            assert stream.pinned
            found.append((await stream.act(_observations(2), unpin_version=True)).version)
            assert not stream.pinned
            return found

    assert asyncio.run(versions()) == [1, 1, 2]


def test_an_error_ends_the_stream_with_its_reason(publish: Publish, start_server: StartServer) -> None:
    """A wrong message raises the same error as Act. Then the stream has ended and says so."""
    publish()
    address = start_server().address

    async def asynchronous() -> list[PolicydError]:
        found = []
        async with AsyncPolicyClient(address, timeout=60) as client, client.stream() as stream:
            for _ in range(2):
                with pytest.raises(PolicydError) as caught:
                    await stream.act([[1.0, 2.0]])
                found.append(caught.value)
        return found

    with PolicyClient(address, timeout=60) as client, client.stream() as stream:
        with pytest.raises(InvalidArgument) as caught:
            stream.act([[1.0, 2.0]])
        assert caught.value.violations[0].field == "observations"
        with pytest.raises((InvalidArgument, Unavailable)):
            stream.act(_observations(0))
    first, second = asyncio.run(asynchronous())
    assert isinstance(first, InvalidArgument)
    assert isinstance(second, InvalidArgument)
