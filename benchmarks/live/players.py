"""Clients over gRPC: each plays its own world on a connection of its own, and reports."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.live.worlds import Task
from policy_api.v1 import experience_pb2 as pb
from policyd import AsyncPolicyClient
from policyd.client.episodes import AsyncEpisode
from policyd.errors import FailedPrecondition, Retryable

CLIENTS = 32
TICK = 0.05  # seconds between two deliveries of the slow network
RECENT = 100  # episodes that the mean return covers


@dataclass(frozen=True)
class Misbehaviour:
    """What a bad network does. The default is a good network."""

    vanish: float = 0.0  # share of the episodes in which the client disappears before the end
    twice: float = 0.0  # share of the outcomes that are sent twice
    late: float = 0.0  # largest delay of an outcome, in seconds; delays are uniform, so the order changes


@dataclass
class Tally:
    """What the clients have counted."""

    decisions: int = 0
    vanished: int = 0
    repeated: int = 0  # outcomes that the server already had
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def recent(self) -> float:
        """The mean return of the last episodes; -inf before the first."""
        return float(np.mean(self.returns)) if self.returns else float("-inf")


class Network:
    """Delivers outcomes late, twice and in any order, and counts the repeated ones."""

    def __init__(self, client: AsyncPolicyClient, policy: str, bad: Misbehaviour, seed: int) -> None:
        self._client, self._policy, self._bad = client, policy, bad
        self._rng = np.random.default_rng(seed)
        self._under_way: list[tuple[float, pb.Outcome]] = []
        self._ending = False
        self.repeated = 0

    def send(self, outcomes: Iterable[pb.Outcome]) -> None:
        """Takes outcomes, to deliver them later."""
        now = time.monotonic()
        for outcome in outcomes:
            for _ in range(1 + (self._rng.random() < self._bad.twice)):
                self._under_way.append((now + self._rng.uniform(0, self._bad.late), outcome))

    async def deliver(self) -> None:
        """Delivers everything when it is due, until `end` was called and nothing is left."""
        while self._under_way or not self._ending:
            await self._deliver_due(time.monotonic())
            await asyncio.sleep(TICK)

    def end(self) -> None:
        """Says that nothing more will be sent."""
        self._ending = True

    async def _deliver_due(self, now: float) -> None:
        due = [outcome for when, outcome in self._under_way if when <= now]
        self._under_way = [(when, outcome) for when, outcome in self._under_way if when > now]
        self._rng.shuffle(due)
        for begin in range(0, len(due), 5000):
            answer = await self._report(due[begin : begin + 5000])
            assert not answer.conflict_count, answer.conflicts
            self.repeated += answer.repeated

    async def _report(self, outcomes: list[pb.Outcome]) -> pb.ReportOutcomesResponse:
        while True:
            try:
                return await self._client.report_outcomes(outcomes, policy=self._policy, timeout=60)
            except Retryable as error:
                await asyncio.sleep(error.retry_after or TICK)


class SlowEpisode(AsyncEpisode):
    """An episode that sends its outcomes through a slow network."""

    def __init__(self, episode: AsyncEpisode, network: Network) -> None:
        super().__init__(episode._connection, episode._state)  # noqa: SLF001
        self._network = network

    async def flush(self, patience: float = 0.0) -> None:  # noqa: ARG002
        """Gives the waiting outcomes to the network. Waits for nothing."""
        waiting, self._state.waiting = self._state.waiting, []
        self._network.send(waiting)


class Players:
    """Clients that play until `enough` returns true, or for ever."""

    def __init__(self, address: str, task: Task, seed: int, bad: Misbehaviour | None = None) -> None:
        self._address, self._task, self._seed = address, task, seed
        self._bad = bad or Misbehaviour()
        self.tally = Tally()
        self._begun = 0  # number of episodes

    async def play(self, clients: int, enough: Callable[[], bool], episodes: int | None = None) -> None:
        """Plays with `clients` clients at once.

        With `episodes` it plays that many, each with its own seed.
        """
        async with AsyncExitStack() as stack:
            players = []
            for number in range(clients):
                client = await stack.enter_async_context(AsyncPolicyClient(self._address, timeout=60))
                players.append(self._client(client, number, enough, episodes))
            await asyncio.gather(*players)

    async def _client(
        self, client: AsyncPolicyClient, number: int, enough: Callable[[], bool], episodes: int | None
    ) -> None:
        network = Network(client, self._task.name, self._bad, self._seed * 1000 + number)
        delivery = asyncio.create_task(network.deliver()) if self._bad.late else None
        world = self._task.make()
        world.reset(seed=self._seed * 1000 + number)
        while not enough() and (episodes is None or self._begun < episodes):
            self._begun += 1
            try:
                await self._episode(client, network, world, None if episodes is None else self._begun)
            except Retryable:
                await asyncio.sleep(1.0)
        if delivery is not None:
            network.end()
            await delivery
        self.tally.repeated += network.repeated

    async def _episode(
        self, client: AsyncPolicyClient, network: Network, world: Any, number: int | None
    ) -> None:
        """Plays one episode of all agents. A `number` gives it its name and seed."""
        rng = np.random.default_rng([self._seed, number or self._begun, 5])
        leaves = int(rng.integers(1, 40)) if rng.random() < self._bad.vanish else None
        observation, _ = world.reset(seed=None if number is None else self._seed * 100_000 + number)
        agents = getattr(world.unwrapped, "agents", 1)
        name = str(uuid.UUID(int=self._seed << 64 | number)) if number is not None else str(uuid.uuid4())
        own = [
            client.episode(self._task.name, episode_id=name, agent_id=f"agent-{agent}" if agents > 1 else "")
            for agent in range(agents)
        ]
        if self._bad.late:
            own = [SlowEpisode(episode, network) for episode in own]
        total, steps, ended = 0.0, 0, False
        while not ended:
            if steps == leaves:
                self.tally.vanished += 1
                return
            rows = observation if agents > 1 else [observation]
            actions = [await episode.act(row) for episode, row in zip(own, rows, strict=True)]
            self.tally.decisions += agents
            action = np.array(actions) if agents > 1 else actions[0]
            observation, reward, terminated, truncated, _ = world.step(action)
            rows = observation if agents > 1 else [observation]
            for episode, row in zip(own, rows, strict=True):
                await _reward(episode, float(reward), row, terminated=terminated, truncated=truncated)
            total, steps, ended = total + float(reward), steps + 1, terminated or truncated
        self.tally.returns.append(total)


async def _reward(
    episode: AsyncEpisode, reward: float, observation: Any, *, terminated: bool, truncated: bool
) -> None:
    try:
        await episode.reward(
            reward, terminated=terminated, truncated=truncated, observation=observation if truncated else None
        )
    except FailedPrecondition:  # the recorder restarted and lost a decision that had no report yet
        return
