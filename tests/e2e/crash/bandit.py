"""A bandit's clients that keep playing whatever dies.

And the count of what became of their outcomes.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import grpc
import numpy as np

from policy_api.v1 import experience_pb2, policy_pb2
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policyd.errors import CorruptArtifact, NotFound
from policyd.experience.learned import read_learned
from policyd.experience.sealed import Position, read_sealed
from policyd.repository import ModelRepository

T = TypeVar("T")
POLICY = "bandit"
#: The reward of each arm, for any observation.
ARMS = np.array([0.1, 0.9, 0.3])
#: The spaces of the clients, in Gymnasium's notation.
SPACES = "observation: Box(-1.0, 1.0, (2,), float32)\naction: Discrete(3)\n"
ROWS = 32  # episodes of one step that are played at once
PAUSE = 0.05  # seconds before a failed call is repeated


class Players:
    """A thread that acts and reports until it is stopped. It records acknowledged outcomes."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.acknowledged: dict[str, float] = {}  # episode -> reward
        self.error: BaseException | None = None

    def __enter__(self) -> Players:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._play()
        except BaseException as error:  # noqa: BLE001  raised for the caller of `join`
            self.error = error

    def _play(self) -> None:
        names = [str(uuid.uuid4()) for _ in range(ROWS)]
        request = policy_pb2.ActRequest(
            policy=POLICY,
            observations=policy_pb2.FloatArray(raw=bytes(4 * 2 * ROWS)),
            decisions=[policy_pb2.Decision(episode_id=name, step=0) for name in names],
        )
        answer = self._call(lambda channel: PolicyServiceStub(channel).Act(request, timeout=60))
        if answer is None:
            return
        rewards = ARMS[np.frombuffer(answer.actions.raw, "<i8")]
        outcomes = [
            experience_pb2.Outcome(episode_id=name, reward=reward, end=experience_pb2.TERMINATED)
            for name, reward in zip(names, rewards, strict=True)
        ]
        report = experience_pb2.ReportOutcomesRequest(policy=POLICY, outcomes=outcomes)
        told = self._call(lambda channel: ExperienceServiceStub(channel).ReportOutcomes(report, timeout=60))
        if told is None:
            return
        unknown = {problem.index for problem in told.unknown}  # the server died before these were on its disk
        assert not told.conflicts, told.conflicts
        for index, (name, reward) in enumerate(zip(names, rewards, strict=True)):
            if index not in unknown:
                self.acknowledged[name] = float(reward)

    def _call(self, call: Callable[[grpc.Channel], T]) -> T | None:
        """Repeats a call until it succeeds; both calls may be repeated.

        Returns the response, or None if the thread was asked to stop.
        """
        while not self._stop.is_set():
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(self._address, options=options) as channel:
                try:
                    return call(channel)
                except grpc.RpcError:
                    self._stop.wait(PAUSE)
        return None


def wrong(repository: ModelRepository, acknowledged: dict[str, float]) -> list[str]:
    """The conditions that do not hold.

    Each acknowledged outcome must be in the log once, and each episode must count once.
    """
    root = repository.root / "experience"
    learned = read_learned(root, POLICY)
    dropped = sum(each.episodes for each in learned.dropped)
    places = {"learned.json": (learned.position, learned.episodes + dropped)}
    for number in repository.versions(POLICY):
        try:
            version = repository.read(POLICY, number)
            if "experience.json" not in version.files:
                continue
            content = json.loads(repository.read_published(version, "experience.json"))
        except (CorruptArtifact, NotFound):  # the job has just removed it
            continue
        total = content["episodes"] + sum(int(each["episodes"]) for each in content["dropped"])
        places[f"version {number}"] = (Position(*content["position"]), total)
    log = list(read_sealed(root / "episodes" / POLICY))
    times = Counter(sealed.episode.episode_id for sealed in log)
    found = [f"{name} is in the log {count} times" for name, count in times.items() if count != 1]
    rewards = {sealed.episode.episode_id: sealed.episode.steps[0].reward for sealed in log}
    for name, reward in acknowledged.items():
        if rewards.get(name) != reward:
            found.append(f"{name}: acknowledged {reward}, in the log {rewards.get(name)}")
    for name, (position, total) in places.items():
        read = sum(sealed.after <= position for sealed in log)
        if read != total:
            found.append(f"{name}: {total} episodes were used or dropped, {read} lie before its position")
    return found


def until(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Whether the condition became true. It is polled, because another process changes it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
