"""A soak: clients act and report as fast as they can while a job learns. What grows is found.

Episodes are bandits' of one step, 32 in a message. Sealed episodes are deleted after a minute, so
disk, memory and open files have to come to rest.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration

from benchmarks.live.running import learning
from benchmarks.live.worlds import Task, win_chances
from examples.stack import Stack
from policy_api.v1 import experience_pb2 as pb
from policy_api.v1 import policy_pb2
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policyd_trainer.guardian.tree import descendants

CALLERS = 4
ROWS = 32  # episodes in one message
LOOK_SECONDS = 5.0
RETENTION = 60  # seconds, the least that is allowed
MOST_GROWTH = 1.05  # largest mean of the last third, divided by that of the second


@dataclass
class Kept:
    """The use of one resource by one part of the system, over time."""

    part: str
    numbers: list[float] = field(default_factory=list)

    @property
    def thirds(self) -> list[float]:
        """The means of the three thirds of the time."""
        return [float(np.mean(part)) for part in np.array_split(self.numbers, 3)]

    @property
    def growth(self) -> float:
        """The mean of the last third, divided by that of the second: the first is a warm-up."""
        return self.thirds[2] / max(1e-9, self.thirds[1])


@dataclass
class Soaked:
    """One row of the table."""

    part: str
    thirds: list[float]
    growth: float
    episodes: int  # acknowledged episodes in all
    seconds: float


def soak(task: Task, folder: Path, minutes: float) -> list[Soaked]:
    """Measures memory and open files of both services, and the disk, in thirds of the time."""
    config: dict[str, Any] = {"retention": Duration(seconds=RETENTION), "silence": Duration(seconds=60)}
    kept: dict[str, Kept] = {}
    began = time.monotonic()
    with learning(task, 0, folder, **config) as (stack, _), ExitStack() as playing:
        callers = [playing.enter_context(Caller(stack.server_address, task)) for _ in range(CALLERS)]
        while (now := time.monotonic()) < began + 60 * minutes:
            for part, number in _look(stack).items():
                kept.setdefault(part, Kept(part)).numbers.append(number)
            stack.check()
            time.sleep(max(0.0, LOOK_SECONDS - (time.monotonic() - now)))
    seconds, episodes = time.monotonic() - began, sum(caller.episodes for caller in callers)
    return [Soaked(each.part, each.thirds, each.growth, episodes, seconds) for each in kept.values()]


class Caller:
    """A thread that acts and reports without a pause."""

    def __init__(self, address: str, task: Task) -> None:
        self._address, self._task = address, task
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.episodes = 0

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng = np.random.default_rng()
        with grpc.insecure_channel(self._address) as channel:
            while not self._stop.is_set():
                try:
                    self._play(channel, rng)
                except grpc.RpcError:  # the episode's decisions are cut later
                    self._stop.wait(0.1)

    def _play(self, channel: grpc.Channel, rng: np.random.Generator) -> None:
        seen = rng.uniform(-1, 1, (ROWS, 2)).astype("<f4")
        names = [str(uuid.uuid4()) for _ in range(ROWS)]
        request = policy_pb2.ActRequest(
            policy=self._task.name,
            observations=policy_pb2.FloatArray(raw=seen.tobytes()),
            decisions=[policy_pb2.Decision(episode_id=name) for name in names],
        )
        chosen = PolicyServiceStub(channel).Act(request, timeout=60)
        arms = np.frombuffer(chosen.actions.raw, "<i8")
        wins = rng.random(ROWS) < win_chances(seen)[np.arange(ROWS), arms]
        outcomes = [
            pb.Outcome(episode_id=name, reward=float(win), end=pb.TERMINATED)
            for name, win in zip(names, wins, strict=True)
        ]
        report = pb.ReportOutcomesRequest(policy=self._task.name, outcomes=outcomes)
        self.episodes += ExperienceServiceStub(channel).ReportOutcomes(report, timeout=60).recorded


def _look(stack: Stack) -> dict[str, float]:
    """The use at this moment: MiB, and the number of open files."""
    found: dict[str, float] = {}
    for service in (stack.server, stack.trainer):
        pids = [service.pid, *descendants(service.pid)]
        found[f"{service.name}: memory, MiB"] = sum(map(_memory, pids))
        found[f"{service.name}: open files"] = sum(map(_files, pids))
    root = stack.settings.repository
    found["experience on disk, MiB"] = _disk(root / "experience")
    found["versions on disk, MiB"] = _disk(root / "models")
    return found


def _memory(pid: int) -> float:
    """Proportional set size of a process, in MiB; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _files(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _disk(folder: Path) -> float:
    """Size of the files below a folder, in MiB."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # the file has just been removed
            total += path.stat().st_size if path.is_file() else 0
    return total / 2**20
