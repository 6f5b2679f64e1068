"""Views: what people read of policies, versions, jobs and rates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1.experience_pb2 import ExperienceConfig, GetExperienceResponse
from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policy_api.v1.policy_pb2 import Alias, AliasChange, Policy, PolicyVersion
from policy_api.v1.traffic_pb2 import AliasTraffic, Canary, CanaryArm, Comparison, Traffic, TrafficShare
from policy_api.v1.training_pb2 import TrainingJob, TrainingProgress
from policyd_server.page.remembering import MOST_POINTS, CurveMemory
from policyd_server.page.views import canary, experience, jobs, now, shadow, traffic, trying, versions, words
from policyd_server.page.views.traffic import Sample
from tests.policyd_server import artifacts

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (65, "1 min 5 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    """A duration shows its two largest units."""
    assert words.lasting(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "just now"), (61, "1 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")]
)
def test_ages_are_coarse(seconds: float, text: str) -> None:
    """An age changes seldom, and so does the page."""
    assert words.since(_at(NOON - timedelta(seconds=seconds)), NOON) == text


def test_an_alias_that_lags_says_so() -> None:
    """The repository's version, the version that responds, and damage are shown."""
    change = AliasChange(
        kind=AliasChange.KIND_ROLLBACK, version=2, actor="ci", reason="worse", change_time=_at(NOON)
    )
    policy = Policy(
        name="p",
        damage=["aliases are damaged"],
        versions=[PolicyVersion(version=1), PolicyVersion(version=2, damage="digest is wrong")],
        aliases=[Alias(name="champion", version=2, serving_version=1, history=[change])],
    )
    (card,) = now.cards([policy], NOON, None)
    (entry,) = card.aliases
    assert entry.problem == "still answers with version 1; the repository says version 2"
    assert (entry.actor, entry.reason, entry.was_rollback) == ("ci", "worse", True)
    assert card.problems == ("aliases are damaged", "version 2: digest is wrong")


def test_rates_are_taken_between_two_readings() -> None:
    """Counters are subtracted, by version. A quantile is the end of its bucket."""

    def reading(seconds: float, requests: float, quick: float, every: float) -> traffic.Reading:
        labels = {"policy": "p", "version": "1"}
        bucket = "policyd_policy_seconds_bucket"
        samples = [
            Sample("policyd_policy_requests_total", labels, requests),
            Sample("policyd_entropy_nats_sum", labels, requests / 2),
            Sample("policyd_entropy_nats_count", labels, requests),
            Sample(bucket, {**labels, "le": "0.001"}, quick),
            Sample(bucket, {**labels, "le": "0.1"}, every),
            Sample(bucket, {**labels, "le": "+Inf"}, every),
            Sample(bucket, {**labels, "version": "2", "le": "+Inf"}, 1e9),
        ]
        return traffic.reading(samples, seconds)

    before, after = reading(0.0, 100, 90, 100), reading(10.0, 300, 180, 200)
    seen = traffic.traffic(before, after, ("p", "1"))
    assert seen.requests_per_second == pytest.approx(20)
    assert seen.entropy == pytest.approx(0.5)
    assert seen.mean_drift is None
    assert (seen.half_within, seen.most_within) == (0.001, 0.1)
    assert traffic.traffic(after, after, ("p", "1")).half_within is None


def test_versions_tell_what_differs() -> None:
    """Only the settings, seed and code that changed are shown."""
    before, after = PolicyVersion(version=1), PolicyVersion(version=2)
    before.metadata.settings.update({"gamma": "0.9", "n_steps": "5"})
    after.metadata.settings.update({"gamma": "0.99", "n_steps": "5"})
    after.metadata.seed = 3
    assert [(d.name, d.before, d.now) for d in versions.differences(after, before)] == [
        ("seed", "0", "3"),
        ("setting gamma", "0.9", "0.99"),
    ]


def test_the_gate_is_drawn_where_it_measured() -> None:
    """The accepted loss is a mark. A first version has no picture."""
    verdict = GateVerdict(episodes=20, config=GateConfig(criterion=GateConfig.NOT_WORSE, margin=2.5))
    verdict.difference.mean = 1.0
    picture = versions.gate_picture(verdict)
    assert picture is not None
    assert [mark.value for mark in picture[1]] == [0.0, -2.5]
    assert versions.gate_picture(GateVerdict(outcome=GateVerdict.OUTCOME_FIRST_VERSION)) is None


def test_the_queue_is_in_its_order() -> None:
    """Running jobs come first, then the queue by place, then ended jobs."""
    listed = [
        TrainingJob(job_id="ended", state=TrainingJob.SUCCEEDED),
        TrainingJob(job_id="second", state=TrainingJob.QUEUED, queue_place=2),
        TrainingJob(job_id="first", state=TrainingJob.QUEUED, queue_place=1),
        TrainingJob(job_id="runs", state=TrainingJob.RUNNING),
    ]
    assert [entry.job_id for entry in jobs.entries(listed)] == ["runs", "first", "second", "ended"]


def test_a_running_job_says_how_far_it_is() -> None:
    """A running job has its steps, return and the trainer's estimate. Earlier phases are done."""
    progress = TrainingProgress(
        phase=TrainingProgress.EXPORTING,
        env_steps=500,
        total_env_steps=1000,
        mean_return=12.5,
        eta=Duration(seconds=75),
    )
    entry = jobs.entry(TrainingJob(state=TrainingJob.RUNNING, progress=progress))
    assert entry.figures == "500 of 1,000 steps, mean return 12.5, about 1 min 15 s left"
    assert [phase.state for phase in entry.phases] == ["done", "done", "now", "later", "later", "later"]


def test_returns_are_remembered_evenly() -> None:
    """A long job keeps few points. After a return to a checkpoint, later points are dropped."""
    memory = CurveMemory()
    for step in range(3000):
        memory.note([_running(step)])
    kept = memory.points("job")
    assert len(kept) <= MOST_POINTS
    assert (kept[0][0], kept[-1][0]) == (0, 2999)
    memory.note([_running(1500)])
    assert memory.points("job")[-1][0] == 1500


def _running(step: int) -> TrainingJob:
    progress = TrainingProgress(env_steps=step, mean_return=float(step))
    return TrainingJob(job_id="job", state=TrainingJob.RUNNING, progress=progress)


def test_sliders_follow_space_and_statistics() -> None:
    """Sliders have the space's bounds, else those of the training. Large spaces have none."""
    metadata = artifacts.metadata("p")
    metadata.observation_space.box.low[:] = [-1.0, float("-inf"), -1e38, 0.0]
    metadata.observation_space.box.high[:] = [1.0, float("inf"), 1e38, 5.0]
    metadata.observation_statistics.mean.extend([0.0, 10.0, 0.0, 1.0])
    metadata.observation_statistics.std.extend([1.0, 2.0, 1.0, 1.0])
    made = trying.sliders(metadata)
    assert [(slider.low, slider.high) for slider in made] == [(-1, 1), (4, 16), (-3, 3), (0, 5)]
    assert made[1].value == pytest.approx(10.0)
    metadata.observation_statistics.mean[1], metadata.observation_statistics.std[1] = 0.0, 0.7 / 3
    assert trying.sliders(metadata)[1].value == 0.0, "a hundred steps of 0.007 are not quite 0.7"
    assert trying.sliders(artifacts.metadata("p", (100,))) == []


def test_experience_has_shares() -> None:
    """Shares are of all decisions, by version. The last change of the mode comes first."""
    answer = GetExperienceResponse(config=ExperienceConfig(mode=ExperienceConfig.RECORD))
    for key, decisions in (("1", 30), ("2", 10)):
        answer.by_version.add(key=key, decisions=decisions)
    answer.history.add(actor="a", reason="first")
    answer.history.add(actor="b", reason="second")
    seen = experience.view(answer)
    assert [entry.share for entry in seen.by_version] == [0.75, 0.25]
    assert [fact.value for fact in seen.history] == ["OFF by b: second", "OFF by a: first"]
    assert seen.mode == "RECORD"


def test_a_canary_tells_its_evidence() -> None:
    """Shares are in per cent, and both arms are shown."""
    traffic = Traffic(aliases=[AliasTraffic(alias="champion", shares=[TrafficShare(version=2, share=0.125)])])
    traffic.canary.MergeFrom(Canary(state=Canary.RUNNING, alias="champion", version=2, base_version=1))
    traffic.canary.challenger.MergeFrom(CanaryArm(episodes=9, reported=8, mean_return=5.0))
    seen = canary.view(traffic)
    assert (seen.state, seen.runs) == ("running", True)
    assert [fact.value for fact in seen.shares] == ["version 2: 12.5%"]
    assert "9 episodes, 8 of them reported" in {fact.name: fact.value for fact in seen.facts}["Version 2"]
    assert canary.view(Traffic()).state == ""


def test_the_history_of_traffic_tells_of_shadows() -> None:
    """The same people change shares and shadows. Each line says which it was."""
    traffic = Traffic()
    traffic.history.add(alias="champion", shares=[TrafficShare(version=2, share=0.05)], actor="a", reason="x")
    for share in (0.5, 0.0):
        traffic.history.add(alias="champion", shadow=TrafficShare(version=3, share=share))
    told = [fact.value.partition(",")[0] for fact in canary.view(traffic).history]
    assert told == [
        "champion: version 3 is its shadow no more",
        "champion: version 3 is its shadow for 50%",
        "champion: version 2: 5%",
    ]


def test_a_shadow_tells_how_it_compares() -> None:
    """A comparison has agreement, divergence, entropies, latencies and failures.

    Before the first request it has none.
    """
    found = Comparison(alias="champion", base_version=1, version=3, share=0.5, requests=2, rows=4)
    found.agreement, found.divergence, found.largest_divergence = 0.75, 0.012, 0.5
    found.failures, found.dropped, found.last_failure = 1, 7, "no distribution"
    found.base.entropy, found.shadow.entropy, found.shadow.value = 0.6, 0.3, -1.5
    found.shadow.p99_latency = 0.002
    (seen,) = shadow.views([found])
    assert (seen.headline, seen.runs) == ("Version 3 beside version 1 for champion", True)
    assert seen.agreement == 0.75
    facts = {fact.name: fact.value for fact in seen.facts}
    assert facts["Computed"] == "2 requests, 4 observations"
    assert facts["Divergence"] == "0.012 nats in the mean, 0.5 at most"
    assert facts["Left out"].startswith("7, ")
    assert seen.problem == "1 request failed, the last one so: no distribution"
    assert [(entry.version, entry.role, entry.entropy, entry.value) for entry in seen.entries] == [
        ("Version 1", "answers", "0.6 nats", "no critic"),
        ("Version 3", "shadow", "0.3 nats", "-1.5"),
    ]
    assert seen.entries[1].high_latency == "2 ms"
    (ended,) = shadow.views([Comparison(alias="champion", base_version=1, version=3)])
    assert (ended.runs, ended.agreement, ended.entries, ended.problem) == (False, None, (), "")
