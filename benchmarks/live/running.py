"""A server, a trainer and a continuous job, and how well its versions do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live.players import CLIENTS, Misbehaviour, Players
from benchmarks.live.worlds import Task, TwoAgents, contexts, win_chances
from examples.stack import Stack, StackSettings
from policy_api.v1.experience_pb2 import ExperienceConfig
from policy_api.v1.training_pb2 import TrainingSpec
from policyd import PolicyClient
from policyd.repository import ModelRepository
from policyd_trainer.evaluation.selection import Snapshot
from policyd_trainer.experience.learning import LivePolicy, config_of
from policyd_trainer.experience.spaces import spaces_of

EPISODES = 100  # episodes of one evaluation
NEAR = 0.9  # share of the target above which versions are evaluated
LOOK_SECONDS = 0.5


@dataclass
class Learned:
    """The result of one run."""

    task: str
    seed: int
    target: float
    reached: int | None = None  # decisions until a version reached the target
    confirmed: float | None = None  # that version's mean return over new episodes
    decisions: int = 0
    seconds: float = 0.0
    recent: float = 0.0  # mean return of the clients' last episodes
    versions: int = 0
    vanished: int = 0
    repeated: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)  # (decisions, mean of the last 100 returns)


@contextmanager
def learning(task: Task, seed: int, folder: Path, **config: Any) -> Iterator[tuple[Stack, str]]:
    """Starts the stack with a job that learns the task, as `policyctl learn --spaces` does."""
    settings = StackSettings(folder, variables={"POLICYD_WORKERS": "1"})
    with Stack(settings) as stack, PolicyClient(stack.server_address) as client:
        spec = TrainingSpec(
            policy=task.name, algorithm=task.algorithm, seed=seed, source=TrainingSpec.EXPERIENCE
        )
        spec.settings.update(task.settings)
        spec.spaces.CopyFrom(task.spaces)
        spec.promotion.promote = True
        job = client.create_training_job(spec)
        _until(lambda: any(policy.name == task.name for policy in client.list_policies()))
        client.set_experience_config(task.name, ExperienceConfig(mode=ExperienceConfig.LEARN, **config))
        yield stack, job.job_id


def _until(holds: Any, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "the job published no first version"
        time.sleep(0.1)


def learn(task: Task, seed: int, folder: Path, bad: Misbehaviour, clients: int = CLIENTS) -> Learned:
    """Plays until a version reaches the target, or until the decisions are used up."""
    with learning(task, seed, folder) as (stack, _):
        return asyncio.run(_learn(task, seed, stack, bad, clients))


async def _learn(task: Task, seed: int, stack: Stack, bad: Misbehaviour, clients: int) -> Learned:
    found, began = Learned(task.name, seed, task.target), time.monotonic()
    players = Players(stack.server_address, task, seed, bad)
    judge = Judge(task, ModelRepository(stack.settings.repository))

    def enough() -> bool:
        return found.reached is not None or players.tally.decisions >= task.decisions

    playing = asyncio.create_task(players.play(clients, enough))
    while not playing.done():
        await asyncio.wait([playing], timeout=LOOK_SECONDS)
        tally = players.tally
        found.curve.append((tally.decisions, tally.recent))
        if found.reached is None and not enough() and tally.recent >= NEAR * task.target:
            decisions, score = tally.decisions, await asyncio.to_thread(judge.newest, seed)
            if score >= task.target:
                found.reached, found.confirmed = decisions, await asyncio.to_thread(judge.again, seed)
    await playing
    found.decisions, found.recent = players.tally.decisions, players.tally.recent
    found.vanished, found.repeated = players.tally.vanished, players.tally.repeated
    found.seconds = time.monotonic() - began
    found.versions = judge.version()
    with PolicyClient(stack.server_address) as client:
        experience = client.get_experience(task.name)
    found.dropped = {each.reason: each.episodes for each in experience.dropped}
    return found


class Judge:
    """Evaluates published versions with sampled actions, independently of the clients."""

    def __init__(self, task: Task, repository: ModelRepository) -> None:
        self._task, self._repository = task, repository
        self._judged = 0

    def version(self) -> int:
        """The number of the champion."""
        return self._repository.aliases(self._task.name).aliases["champion"]

    def newest(self, seed: int) -> float:
        """The mean return of the champion; -inf if this version was evaluated before."""
        if (number := self.version()) == self._judged:
            return float("-inf")
        self._judged = number
        return self._score(seed * 7 + 1)

    def again(self, seed: int) -> float:
        """The mean return, over other episodes, of the version that was evaluated last."""
        return self._score(seed * 7 + 2)

    def _score(self, seed: int) -> float:
        version = self._repository.read(self._task.name, self._judged)
        config = config_of(version.metadata, {})
        live = LivePolicy(config, spaces_of(version.metadata, config))
        live.load(self._repository, version)
        return score(self._task, live, live.snapshot(), seed)


def score(task: Task, live: LivePolicy, snapshot: Snapshot, seed: int, episodes: int = EPISODES) -> float:
    """The mean return of sampled actions. For the bandit it is the exact expected reward."""
    if task.name == "bandit":
        return expected_wins(live, snapshot)
    rng, codec = np.random.default_rng(seed), live.spaces.codec
    policy, distribution = snapshot.policy(live.specs, codec.distribution), codec.distribution
    worlds = [task.make() for _ in range(episodes)]
    agents = TwoAgents.agents if isinstance(worlds[0], TwoAgents) else 1
    seen = [world.reset(seed=seed * 10_000 + number)[0] for number, world in enumerate(worlds)]
    returns, playing = np.zeros(episodes), list(range(episodes))
    while playing:
        rows = np.stack([np.asarray(seen[number], np.float32) for number in playing])
        rows = rows.reshape(len(playing) * agents, -1)
        actions = policy.sample(rows, distribution.noise(rng, 1, len(rows))[0])
        left = []
        for place, number in enumerate(playing):
            own = list(codec.to_environment(actions[place * agents : (place + 1) * agents]))
            action = np.array(own) if agents > 1 else own[0]
            seen[number], reward, terminated, truncated, _ = worlds[number].step(action)
            returns[number] += float(reward)
            if not terminated and not truncated:
                left.append(number)
        playing = left
    return float(returns.mean())


def expected_wins(live: LivePolicy, snapshot: Snapshot) -> float:
    """The mean expected reward of the bandit's policy over all contexts."""
    rows = contexts(200)
    policy = snapshot.policy(live.specs, live.spaces.codec.distribution)
    logits = policy.outputs(rows if policy.scaling is None else policy.scaling(rows))
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return float((chances * win_chances(rows)).sum(axis=1).mean())
