"""The shadow process of one server: `python -m policyd_server.shadow.process REPOSITORY FD OWNER`.

FD is a listening Unix socket that the process OWNER made. Workers send requests that they have
answered; both versions compute them here. While it computes it reads nothing: what workers then
have no room for they leave out. So a shadow costs requests nothing but the copy of their bytes, and
one that ends this process ends nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import PolicydError
from policyd.repository import ModelRepository
from policyd.runtime import log
from policyd_server import child_process
from policyd_server.experience.wire import Frames, encode
from policyd_server.models.version import LoadedVersion, load_version
from policyd_server.shadow.comparing import ComparedVersions, Request
from policyd_server.shadow.wire import ANSWER, ASK, Header, Target, read_rows

NICE = 10  # the workers come first
MAX_KEPT = 100  # comparisons, including those that have ended
IDLE_SECONDS = 60.0  # a comparison without requests releases its versions after this
RETRY_SECONDS = 30.0  # pause before a version that did not load is tried again
READ_BYTES = 1 << 20
CRASHED = "the shadow process ended while it computed"


@dataclass
class Pair:
    """A comparison, and its versions while they are in memory."""

    found: ComparedVersions = field(default_factory=ComparedVersions)
    loaded: tuple[LoadedVersion, LoadedVersion] | None = None
    used: float = 0.0  # time.monotonic()
    retry: float = 0.0  # time.monotonic() at which loading is tried again
    problem: str = ""  # why the versions did not load


class Shadows:
    """All comparisons of this server."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._pairs: OrderedDict[Target, Pair] = OrderedDict()

    def take(self, body: bytes) -> None:
        """Computes one request with both versions."""
        header, observations, mask = read_rows(body)
        pair = self._pair(header.target)
        pair.found.dropped += header.dropped
        for _ in range(header.crashed):
            pair.found.fail(CRASHED)
        if not header.rows:
            return
        loaded = self._loaded(header.target, pair)
        if loaded is None:
            pair.found.fail(pair.problem)
        else:
            pair.found.compare(*loaded, _request(loaded[0], header, observations, mask))

    def told(self, policy: str) -> pb.CompareVersionsResponse:
        """Returns the policy's comparisons, the newest first."""
        answer = pb.CompareVersionsResponse()
        for target, pair in reversed(self._pairs.items()):
            if target.policy == policy:
                one = answer.comparisons.add(
                    policy=policy, alias=target.alias, base_version=target.base, version=target.version
                )
                one.start_time.FromNanoseconds(target.start)
                pair.found.fill(one)
        return answer

    def _pair(self, target: Target) -> Pair:
        if target not in self._pairs:
            self._pairs[target] = Pair()
            while len(self._pairs) > MAX_KEPT:
                self._pairs.popitem(last=False)
            self._release()
        pair = self._pairs[target]
        pair.used = time.monotonic()
        return pair

    def _release(self) -> None:
        """Releases the versions of shadows that have ended."""
        for pair in self._pairs.values():
            if time.monotonic() - pair.used > IDLE_SECONDS:
                pair.loaded = None

    def _loaded(self, target: Target, pair: Pair) -> tuple[LoadedVersion, LoadedVersion] | None:
        if pair.loaded is None and time.monotonic() >= pair.retry:
            try:
                base, shadow = (
                    load_version(self._repository, target.policy, version)
                    for version in (target.base, target.version)
                )
                pair.loaded = base, shadow
            except PolicydError as error:
                pair.problem, pair.retry = error.message, time.monotonic() + RETRY_SECONDS
        return pair.loaded


def _request(base: LoadedVersion, header: Header, observations: bytes, mask: bytes) -> Request:
    rows = np.frombuffer(observations, np.float32).reshape(header.rows, *base.observation_shape)
    allowed = np.frombuffer(mask, np.bool_).reshape(header.rows, -1) if mask else None
    return Request(rows, allowed, header.temperature)


async def serve(listener: socket.socket, shadows: Shadows) -> None:
    """Serves until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Frames()
        while not stop.is_set() and (data := await _read(reader)):
            for frame in frames.feed(data):
                if frame.kind == ASK:
                    writer.write(encode(ANSWER, shadows.told(frame.body.decode()).SerializeToString()))
                else:
                    shadows.take(frame.body)
                await asyncio.sleep(0)  # let other connections have a turn
        writer.close()

    async with await asyncio.start_unix_server(connected, sock=listener):
        await stop.wait()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Returns what has arrived. Empty: the worker has ended, or this process ends."""
    try:
        return await reader.read(READ_BYTES)
    except (OSError, asyncio.CancelledError):  # asyncio would log a cancelled connection as an error
        return b""


def main() -> None:
    """Takes over the socket and serves. The kernel kills the process when its owner dies."""
    if not child_process.dies_with(int(sys.argv[3])):
        return
    os.nice(NICE)
    log.configure("text")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner ends it, after its workers
    location = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
    listener = socket.socket(fileno=int(sys.argv[2]))
    asyncio.run(serve(listener, Shadows(ModelRepository(location))))


if __name__ == "__main__":
    main()
