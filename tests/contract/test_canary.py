"""How canaries end, and estimates from recorded episodes: one server of two worker processes."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from policy_api.v1 import experience_pb2, policy_pb2
from policy_api.v1.traffic_pb2 import (
    Canary,
    CanaryConfig,
    EvaluateVersionResponse,
    Traffic,
    TrafficShare,
)
from policyd import PolicyClient
from policyd.cli.app import run
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.repository import ModelRepository, traffic
from policyd.repository.report import REPORT
from tests.policyd_server import artifacts
from tests.policyd_server.process import TRANSPORTS, ServerProcess
from tests.waiting import until

POISON = np.array([[0, 0, 0, 200]], "<f4")


class World:
    """A policy of its own, with clients that play episodes of one step."""

    def __init__(self, server: ServerProcess, repository: ModelRepository, policy: str) -> None:
        self.server, self.repository, self.policy = server, repository, policy
        self.client = PolicyClient(server.address, timeout=60)
        self._numbers = itertools.count()
        for seed in (0, 1):
            self.publish(artifacts.model(artifacts.metadata(policy), seed=seed))
        repository.add_files(policy, 2, {REPORT: b"<html><main></main></html>"})
        repository.set_alias(policy, "champion", 1, actor="test", reason="test")
        config = experience_pb2.ExperienceConfig(mode=experience_pb2.ExperienceConfig.RECORD)
        self.client.set_experience_config(policy, config)

    def publish(self, model: bytes, shape: tuple[int, ...] = (4,)) -> int:
        """Publishes a version and returns its number."""
        described = artifacts.metadata(self.policy, shape)
        return self.repository.publish(self.policy, {"model.onnx": model}, metadata=described).version

    def act(self, observation: np.ndarray | None = None) -> tuple[str, policy_pb2.ActResponse]:
        """Makes one decision of a new episode."""
        observation = np.zeros((1, 4), "<f4") if observation is None else observation
        episode = f"{self.policy}-{next(self._numbers)}"
        request = policy_pb2.ActRequest(
            policy=self.policy,
            observations=policy_pb2.FloatArray(raw=observation.tobytes()),
            decisions=[policy_pb2.Decision(episode_id=episode)],
        )
        return episode, self.server.policy.Act(request, timeout=60)

    def fails(self, observation: np.ndarray) -> bool:
        """Whether a decision fails."""
        try:
            self.act(observation)
        except grpc.RpcError:
            return True
        return False

    def report(self, rewards: dict[str, float]) -> None:
        """Reports the end of these episodes. They are durable when this returns."""
        outcomes = [
            experience_pb2.Outcome(episode_id=episode, reward=reward, end=experience_pb2.TERMINATED)
            for episode, reward in rewards.items()
        ]
        self.client.report_outcomes(outcomes, policy=self.policy)

    def report_of(self, version: int) -> str:
        """The version's report."""
        return self.repository.read_added(self.repository.read(self.policy, version), REPORT).decode()

    @property
    def canary(self) -> Canary:
        """The last canary."""
        return self.client.get_traffic(self.policy).canary

    def until_ended(self) -> Canary:
        """The canary when it has ended."""
        until(lambda: self.canary.state != Canary.RUNNING)
        return self.canary


def end_unreported(repository: ModelRepository, policy: str) -> None:
    """Ends a canary of version 2 in the repository, but not in a report."""
    canary = Canary(state=Canary.RUNNING, alias="champion", version=2, base_version=1)
    canary.start_time.GetCurrentTime()
    started = Traffic(policy=policy, canary=canary)
    repository.change_traffic(
        policy, lambda _: traffic.canary_ended(started, Canary.ROLLED_BACK, "its server died")
    )


@pytest.fixture(scope="module", params=TRANSPORTS)
def shared(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[ServerProcess, ModelRepository]]:
    """A server of two worker processes, with each transport."""
    folder = tmp_path_factory.mktemp("canary")
    repository = ModelRepository(folder / "repository")
    server = ServerProcess(folder, repository.root, "--workers", "2", "--transport", request.param)
    yield server, repository
    server.stop()


@pytest.fixture
def world(shared: tuple[ServerProcess, ModelRepository]) -> Iterator[World]:
    """A policy that no other test uses."""
    server, repository = shared
    world = World(server, repository, f"p{len(repository.policies())}")
    yield world
    world.client.close()


def test_a_version_that_fails_gives_its_share_back_at_once(world: World) -> None:
    """After one failed request of a worker, the champion gets all requests. The canary says why."""
    version = world.publish(artifacts.fragile(artifacts.metadata(world.policy)))
    world.client.start_canary(world.policy, version, CanaryConfig(share=0.5))
    until(lambda: world.fails(POISON))
    for _ in range(50):  # on the same connection, which belongs to one worker
        assert world.act(POISON)[1].version == 1
    found = world.until_ended()
    assert found.state == Canary.ROLLED_BACK
    assert found.reason == f"version {version} failed while it served"
    assert not world.client.get_traffic(world.policy).aliases


def test_shares_of_a_version_that_fails_are_gone(world: World) -> None:
    """Without a canary a failure also takes the shares.

    The history says who; they may be set again.
    """
    version = world.publish(artifacts.fragile(artifacts.metadata(world.policy)))
    shares = [TrafficShare(version=version, share=0.4), TrafficShare(version=2, share=0.3)]
    world.client.set_traffic(world.policy, shares)
    until(lambda: world.fails(POISON))
    until(lambda: world.client.get_traffic(world.policy).generation == 2)
    found = world.client.get_traffic(world.policy)
    assert [(share.version, share.share) for share in found.aliases[0].shares] == [(2, 0.3)]
    assert (found.history[-1].actor, found.history[-1].reason) == (
        "policyd-server",
        f"failed while serving: [{version}]",
    )
    told = f"policyd.audit: actor=policyd-server policy={world.policy} failed_versions={version}"
    until(lambda: told in world.server.log)
    world.client.set_traffic(world.policy, shares[:1])
    until(lambda: world.act()[1].version == version)


def test_a_slow_version_loses_its_share(world: World) -> None:
    """Above --max-latency the canary ends. A bound that is kept ends nothing."""
    version = world.publish(artifacts.slow(artifacts.metadata(world.policy)))
    bound = CanaryConfig(max_latency=Duration(nanos=1_000_000))
    world.client.start_canary(world.policy, version, bound)
    found = world.until_ended()
    assert (found.state, found.share) == (Canary.ROLLED_BACK, 0.0)
    assert "inference calls take longer than allowed" in found.reason
    world.client.start_canary(world.policy, version, CanaryConfig(max_latency=Duration(seconds=3600)))
    world.report({world.act()[0]: 1.0 for _ in range(100)})
    until(lambda: world.canary.champion.episodes > 0)  # the server has checked since
    assert world.canary.state == Canary.RUNNING
    world.client.cancel_canary(world.policy)


def test_outcomes_that_stop_end_a_canary(world: World) -> None:
    """--outcome-timeout ends a canary whose outcomes stop while the champion's come."""
    config = CanaryConfig(share=0.5, outcome_timeout=Duration(seconds=1))
    world.client.start_canary(world.policy, 2, config)
    answers = [world.act() for _ in range(120)]
    world.report({episode: 1.0 for episode, answer in answers if answer.version == 1})
    found = world.until_ended()
    assert found.state == Canary.ROLLED_BACK
    assert found.reason.startswith("no outcome of the canary arrived during")


def test_without_a_verdict_the_share_is_taken_back(world: World) -> None:
    """--patience ends a canary that is neither better nor worse for that long."""
    config = CanaryConfig(share=0.5, patience=Duration(seconds=1))
    world.client.start_canary(world.policy, 2, config)
    found = world.until_ended()
    assert (found.state, found.share) == (Canary.CANNOT_TELL, 0.0)
    assert found.reason.startswith("no verdict in time")


def test_a_worse_version_is_gone_soon_after_the_evidence(world: World) -> None:
    """Measures from the deciding report until the champion gets a key that the canary had."""
    world.client.start_canary(world.policy, 2, CanaryConfig(share=0.5))
    answers = [world.act() for _ in range(100)]
    mine = next(episode for episode, answer in answers if answer.version == 2)
    rng = np.random.default_rng(0)
    rewards = {episode: rng.normal(-10 * (answer.version == 2), 1) for episode, answer in answers}
    world.report(rewards)
    begin = time.monotonic()
    state = np.zeros((1, 4), np.float32)
    until(lambda: world.client.act(state, policy=world.policy, traffic_key=mine).version == 1)
    taken = time.monotonic() - begin
    print(f"rolled back {taken:.2f} s after the evidence")  # noqa: T201 -- docs/notes/evidence.md
    found = world.until_ended()
    assert found.state == Canary.ROLLED_BACK
    assert "mean return differs by -" in found.reason
    told = f"actor=canary policy={world.policy} alias=champion version=2 canary_state=ROLLED_BACK reason=mean"
    until(lambda: f"policyd.audit: {told}" in world.server.log)
    until(lambda: "Canary beside version 1 for champion: rolled back" in world.report_of(2))
    assert "<svg" in world.report_of(2)
    assert found.reason in world.report_of(2)


def test_a_cancelled_canary_stands_in_the_report(world: World) -> None:
    """The report has the canary when the call returns. A version without a report gets none."""
    world.client.start_canary(world.policy, 2, CanaryConfig(share=0.5), reason="why not")
    world.client.cancel_canary(world.policy, reason="not today")
    assert "cancelled" in world.report_of(2)
    assert "why not" in world.report_of(2)
    assert "not today" in world.report_of(2)
    other = world.publish(artifacts.model(artifacts.metadata(world.policy)))
    world.client.start_canary(world.policy, other, CanaryConfig(share=0.5))
    world.client.cancel_canary(world.policy)
    assert world.repository.added_files(world.repository.read(world.policy, other)) == []


def test_a_report_that_lacks_the_end_gets_it_later(world: World) -> None:
    """If the server dies before it writes a canary's end into the report, the next one does."""
    end_unreported(world.repository, world.policy)
    until(lambda: "its server died" in world.report_of(2))
    assert "Canary beside version 1 for champion: rolled back" in world.report_of(2)
    assert world.canary.state == Canary.ROLLED_BACK


def test_an_estimate_from_what_another_version_did(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Version 2 prefers the action that pays: BETTER, and the intervals contain its true return."""
    rows = np.random.default_rng(0).uniform(-5, 5, (1000, 4)).astype("<f4")
    probs = [world.client.act(rows, policy=world.policy, version=version).action_probs for version in (1, 2)]
    balanced = abs(probs[0][:, 0] - 0.5) < 0.2
    best = int(np.where(balanced, abs(probs[1] - probs[0])[:, 0], 0).argmax())
    pays = int((probs[1] - probs[0])[best].argmax())
    before, truth = (float(each[best, pays]) for each in probs)
    assert truth - before > 0.15
    answers = [world.act(rows[best : best + 1]) for _ in range(500)]  # each with the name of its episode
    world.report({e: float(np.frombuffer(a.actions.raw, "<i8")[0] == pays) for e, a in answers})
    found = world.client.evaluate_version(world.policy, 2, timeout=300)
    assert (found.verdict, found.episodes, found.left_out) == (EvaluateVersionResponse.BETTER, 500, 0)
    for interval in (found.ips, found.self_normalised_ips, found.doubly_robust):
        assert interval.low < truth < interval.high
    assert found.logged_return.low < before < found.logged_return.high
    assert abs(found.mean_weight_deviations) < 4

    command = ["--server", world.server.address, "--json", "evaluate", "--policy", world.policy]
    assert run([*command, "--version", "1", "--from-experience", "--episodes", "200"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["episodes"]) == ("CANNOT_TELL", 200)  # this version itself acted


def test_what_cannot_be_estimated(world: World) -> None:
    """No episodes, other observations, an unknown version, or too many episodes: no estimate."""
    found = world.client.evaluate_version(world.policy, 2, timeout=300)
    assert found.verdict == EvaluateVersionResponse.CANNOT_TELL
    assert found.reason.startswith("0 whole episodes recorded")
    world.report({world.act()[0]: 1.0 for _ in range(3)})
    described = artifacts.metadata(world.policy, (5,))
    other = world.publish(artifacts.model(described), (5,))
    found = world.client.evaluate_version(world.policy, other, timeout=300)
    assert (found.verdict, found.left_out) == (EvaluateVersionResponse.CANNOT_TELL, 3)
    with pytest.raises(InvalidArgument, match="max_episodes"):
        world.client.evaluate_version(world.policy, 2, max_episodes=10**6)
    with pytest.raises(FailedPrecondition, match="other observations"):
        world.client.start_canary(world.policy, other)
