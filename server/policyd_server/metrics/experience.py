"""Metrics of decisions and outcomes, of how far the learner is behind, and of returns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter as Counts
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import CorruptArtifact, PolicydError
from policyd.experience.configs import ExperienceConfigs, records
from policyd.experience.learned import read_learned
from policyd.experience.sealed import read_sealed
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import Method

#: Seconds between two looks while no policy records and nobody reports.
IDLE_SECONDS = 10.0
#: Seconds between two readings of the counts.
LOOK_SECONDS = 2.0
_LOG = logging.getLogger(__name__)


class ExperienceMetrics:
    """Each worker counts its own decisions and outcomes.

    All workers show the same state of the recorder.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "policyd_decisions",
            "Named decisions that went to the recorder.",
            ("policy",),
            registry=registry,
        )
        self._lost = Counter(
            "policyd_decisions_lost",
            "Named decisions that a slow recorder had no room for.",
            ("policy",),
            registry=registry,
        )
        self._outcomes = Counter(
            "policyd_outcomes",
            "Reported outcomes: recorded, repeated, late, conflict or unknown.",
            ("policy", "result"),
            registry=registry,
        )
        self._open = _gauge(registry, "policyd_open_episodes", "Episodes that are not sealed.")
        self._lag = _gauge(
            registry,
            "policyd_experience_lag_seconds",
            "How long the oldest sealed episode has waited for a job to read it.",
        )
        self._return = _gauge(
            registry,
            "policyd_experience_return",
            "Mean return of the sealed episodes of policyd_experience_version.",
        )
        self._version = _gauge(
            registry, "policyd_experience_version", "The newest version that has sealed episodes."
        )
        self._used = _gauge(registry, "policyd_experience_used_steps", "Steps that jobs learned from.")
        self._disk = _gauge(registry, "policyd_experience_disk_bytes", "Bytes of recorded experience.")
        self._dropped = Gauge(
            "policyd_experience_dropped_steps",
            "Steps that were recorded and not learned from, by reason.",
            ("policy", "reason"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._reported = asyncio.Event()  # set by each report
        self._told: tuple[Counts[str], Counts[str]] = Counts(), Counts()

    def reported(self, policy: str, answer: pb.ReportOutcomesResponse) -> None:
        """Counts the outcomes of one report."""
        self._reported.set()
        for result, count in (
            ("recorded", answer.recorded),
            ("repeated", answer.repeated),
            ("late", answer.too_late),
            ("conflict", answer.conflict_count),
            ("unknown", answer.unknown_count),
        ):
            self._outcomes.labels(policy, result).inc(count)

    async def run(self, root: Path, sender: DecisionSender, recorder: RecorderLink) -> None:
        """Updates the figures for ever.

        If no policy records, it does not ask the recorder, and so does not start it.
        """
        configs = ExperienceConfigs(root)
        while True:
            self._count(sender)
            recorded = await asyncio.to_thread(_recorded, configs)
            for policy in recorded:
                try:
                    request = pb.GetExperienceRequest(policy=policy).SerializeToString()
                    found = pb.GetExperienceResponse.FromString(await recorder.call(Method.GET, "", request))
                    self._show(policy, found, await asyncio.to_thread(lag_seconds, root, policy))
                except (PolicydError, OSError) as error:
                    _LOG.warning("the experience of %s cannot be measured: %s", policy, error)
            self._reported.clear()
            if recorded:
                await asyncio.sleep(LOOK_SECONDS)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._reported.wait(), IDLE_SECONDS)

    def _count(self, sender: DecisionSender) -> None:
        for counter, now, told in zip(
            (self._decisions, self._lost), (sender.sent, sender.dropped), self._told, strict=True
        ):
            for policy, count in list(now.items()):
                counter.labels(policy).inc(count - told[policy])
                told[policy] = count

    def _show(self, policy: str, found: pb.GetExperienceResponse, lag: float) -> None:
        self._decisions.labels(policy)  # at 0 from the start, because a rate needs an earlier value
        self.reported(policy, pb.ReportOutcomesResponse())
        self._open.labels(policy).set(found.open_episodes)
        self._used.labels(policy).set(found.used_steps)
        self._disk.labels(policy).set(found.disk_bytes)
        self._lag.labels(policy).set(lag if found.config.mode == pb.ExperienceConfig.LEARN else 0)
        for each in found.dropped:
            self._dropped.labels(policy, each.reason).set(each.steps)
        newest = max((c for c in found.by_version if c.sealed_episodes), key=_number, default=None)
        if newest is not None:
            self._version.labels(policy).set(_number(newest))
            self._return.labels(policy).set(newest.mean_return)


def lag_seconds(root: Path, policy: str) -> float:
    """Returns the age in seconds of the oldest sealed episode that no job has read; 0: none."""
    position = read_learned(root, policy).position
    waiting = next(read_sealed(root / "episodes" / policy, position), None)
    return 0.0 if waiting is None else max(0.0, time.time() - waiting.episode.seal_time.ToNanoseconds() / 1e9)


def _number(count: pb.ExperienceCount) -> int:
    return int(count.key)


def _gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    """Returns a gauge by policy, which all workers set to the same value."""
    return Gauge(name, text, ("policy",), registry=registry, multiprocess_mode="mostrecent")


def _recorded(configs: ExperienceConfigs) -> list[str]:
    """Returns the policies that record, and those whose file is damaged.

    The recorder reports the damage.
    """
    found = []
    for policy in configs.policies():
        try:
            recorded = records(configs.read(policy).config)
        except CorruptArtifact:
            recorded = True
        if recorded:
            found.append(policy)
    return found
