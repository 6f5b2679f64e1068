"""A policy whose decisions a server records, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1 import policy_pb2
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policyd.experience.sealed import read_sealed
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import TRANSPORTS, ServerProcess


class World:
    """One policy of a server that records, and its client."""

    def __init__(self, server: ServerProcess, repository: ModelRepository, policy: str) -> None:
        self.server = server
        self.policy = policy
        self.subject = f"someone of {policy}"
        self.experience = ExperienceServiceStub(server.channel)
        self.root = repository.root / "experience"
        published = artifacts.metadata(policy)
        repository.publish(policy, {"model.onnx": artifacts.model(published, seed=1)}, metadata=published)
        repository.set_alias(policy, "champion", 1, actor="test", reason="test")
        self.configure()

    def configure(self, mode: pb.ExperienceConfig.Mode.ValueType = pb.ExperienceConfig.RECORD) -> None:
        """Sets the policy's mode, and a reward range of -1 to 1."""
        config = pb.ExperienceConfig(mode=mode, reward_low=-1, reward_high=1)
        request = pb.SetExperienceConfigRequest(policy=self.policy, config=config, actor="test")
        self.experience.SetExperienceConfig(request, timeout=60)

    def act(self, episode: str, step: int, **more: object) -> policy_pb2.ActResponse:
        """Asks for one action."""
        return self.server.policy.Act(self.named(episode, step, **more), timeout=60)

    def named(self, episode: str, step: int, **more: object) -> policy_pb2.ActRequest:
        """The request for one action."""
        decision = policy_pb2.Decision(episode_id=episode, step=step, subject=self.subject)
        return policy_pb2.ActRequest(
            policy=self.policy,
            observations=policy_pb2.FloatArray(raw=observation(step)),
            decisions=[decision],
            **more,  # type: ignore[arg-type]  # the callers' words
        )

    def report(self, *outcomes: pb.Outcome) -> pb.ReportOutcomesResponse:
        """Reports outcomes."""
        request = pb.ReportOutcomesRequest(policy=self.policy, outcomes=outcomes)
        return self.experience.ReportOutcomes(request, timeout=60)

    def sealed(self) -> list[pb.Episode]:
        """The sealed episodes, as a learner reads them."""
        return [each.episode for each in read_sealed(self.root / "episodes" / self.policy)]

    def recorder(self) -> int:
        """The recorder's process id."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (folder / "cmdline").exists():
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"policyd_server.experience.process" in words and str(self.root).encode() in words:
                    return int(folder.name)
        raise AssertionError("no recorder runs")


def observation(step: int) -> bytes:
    return np.array([step / 100, 0, 0.01, 0], "<f4").tobytes()


def outcome(episode: str, step: int, end: pb.End.ValueType = pb.GOES_ON, reward: float = 1) -> pb.Outcome:
    return pb.Outcome(episode_id=episode, step=step, reward=reward, end=end)


@pytest.fixture(scope="session", params=TRANSPORTS)
def recording_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, ModelRepository]]:
    """One server for all tests. Each test has a policy of its own."""
    folder = tmp_path_factory.mktemp("experience")
    repository = ModelRepository(folder / "repository")
    server = ServerProcess(folder, repository.root, "--transport", request.param)
    yield server, repository
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.fixture
def world(recording_server: tuple[ServerProcess, ModelRepository], request: pytest.FixtureRequest) -> World:
    server, repository = recording_server
    return World(server, repository, f"p{len(repository.policies())}")
