"""A worker's side of shadows: copies requests that were answered, and never waits."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import Unavailable
from policyd.runtime.running_time import timeout
from policyd_server.acting.plain import Plain
from policyd_server.acting.queue import Slice
from policyd_server.experience.wire import Frames, encode
from policyd_server.models.follower import Follower
from policyd_server.models.version import LoadedVersion
from policyd_server.sampling import Bool
from policyd_server.shadow.wire import ASK, Target, counts_frame, rows_frame

#: At most this many bytes of observations wait for the shadow process. Further requests are left
#: out and counted.
MAX_WAITING_BYTES = 8 << 20
FLUSH_SECONDS = 0.05
ANSWER_SECONDS = 20.0
_deal = random.Random(random.SystemRandom().getrandbits(256)).random  # noqa: S311


class Chosen(NamedTuple):
    """A request that a shadow has to compute."""

    target: Target
    observations: bytes  # float32 [rows, *shape]
    rows: int
    temperature: float
    mask: Bool | None


class ShadowFeed:
    """Takes requests from any thread, and sends them from the event loop."""

    def __init__(self, path: str) -> None:
        """`path`: of the shadow process's socket."""
        self._path = path
        # By version that answers: its shadows and their shares. The mapping is replaced, never
        # changed.
        self.targets: Mapping[LoadedVersion, tuple[tuple[float, Target], ...]] = {}
        self.dropped: Counter[Target] = Counter()  # number of requests left out so far
        self._told: Counter[Target] = Counter()  # as many of them as the process has been told
        self._crashes = 0
        self._lock = threading.Lock()
        self._waiting: list[Chosen] = []
        self._waiting_bytes = 0
        self._watched = asyncio.Event()  # set if there are shadows or something to send
        self._writer: asyncio.StreamWriter | None = None

    def follow(self, follower: Follower) -> None:
        """Reads which versions have shadows."""
        found: dict[LoadedVersion, tuple[tuple[float, Target], ...]] = {}
        for policy, state in follower.traffic.items():
            serving = follower.loaded_versions.serving(policy)
            for shadow in state.shadows:
                base = serving.get(shadow.alias)
                if base is not None and base.version != shadow.version:
                    start = shadow.start_time.ToNanoseconds()
                    target = Target(policy, shadow.alias, base.version, shadow.version, start)
                    found[base] = (*found.get(base, ()), (shadow.share, target))
        self.targets = found
        if found:
            self._watched.set()

    def shares(self, policy: str) -> dict[Target, float]:
        """Returns the present share of each shadow of the policy that has not ended."""
        every = (one for shadows in self.targets.values() for one in shadows)
        return {target: share for share, target in every if target.policy == policy}

    def answered_plain(
        self, model: LoadedVersion, asked: Sequence[tuple[Plain, bytes]], answers: Sequence[bytes | None]
    ) -> None:
        """Called after plain requests for one version. An answer of None: it was not answered."""
        for share, target in self.targets.get(model, ()):
            for (plain, payload), answer in zip(asked, answers, strict=True):
                if answer is not None and _deal() < share:
                    self._take(Chosen(target, plain.floats(payload), plain.rows, 1.0, None))

    def answered(self, slices: Sequence[Slice]) -> None:
        """Called after an inference call for requests that queued."""
        for share, target in self.targets.get(slices[0].ticket.model, ()):
            for piece in slices:
                ticket = piece.ticket
                if ticket.decision is not None and _deal() < share:
                    self._take(
                        Chosen(target, ticket.observations, ticket.rows, ticket.temperature, ticket.mask)
                    )

    async def run(self) -> None:
        """Sends the chosen requests, for ever."""
        try:
            while True:
                await self._watched.wait()
                await asyncio.sleep(FLUSH_SECONDS)
                with suppress(OSError):  # the process restarts, and the next round connects again
                    await self._flush()
                if not self.targets and not self._waiting:
                    self._watched.clear()
        finally:
            self._disconnect()

    async def ask(self, policy: str) -> pb.CompareVersionsResponse:
        """Returns what the process has found. Unavailable: it does not answer."""
        try:
            async with timeout(ANSWER_SECONDS):
                return await self._ask(policy)
        except (OSError, TimeoutError, EOFError) as error:
            raise Unavailable("the shadow process does not answer", retry_after=2) from error

    async def _ask(self, policy: str) -> pb.CompareVersionsResponse:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(encode(ASK, policy.encode()))
            frames = Frames()
            while data := await reader.read(1 << 16):
                for frame in frames.feed(data):
                    return pb.CompareVersionsResponse.FromString(frame.body)
            raise EOFError
        finally:
            writer.close()

    def _take(self, chosen: Chosen) -> None:
        with self._lock:
            if self._waiting_bytes + len(chosen.observations) > MAX_WAITING_BYTES:
                self.dropped[chosen.target] += 1
            else:
                self._waiting.append(chosen)
                self._waiting_bytes += len(chosen.observations)

    async def _flush(self) -> None:
        """Sends everything that waits. OSError: the process has ended."""
        with self._lock:
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            dropped = self.dropped - self._told
        if not waiting and not dropped:
            return
        sent = 0
        try:
            if self._writer is None:
                _, self._writer = await asyncio.open_unix_connection(self._path)
                self._tell_crashes(self._writer)
            for chosen in waiting:
                self._writer.write(rows_frame(*chosen))
                await self._writer.drain()
                sent += 1
            for target, count in dropped.items():
                self._writer.write(counts_frame(target, count, 0))
            await self._writer.drain()
            self._told += dropped
        except OSError:
            self._crashes += 1
            self.dropped.update(chosen.target for chosen in waiting[sent:])
            self._disconnect()
            raise

    def _tell_crashes(self, writer: asyncio.StreamWriter) -> None:
        """Tells a new process that the one before has ended, perhaps because of the shadows."""
        if self._crashes:
            for shadows in self.targets.values():
                for _, target in shadows:
                    writer.write(counts_frame(target, 0, self._crashes))
        self._crashes = 0

    def _disconnect(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
