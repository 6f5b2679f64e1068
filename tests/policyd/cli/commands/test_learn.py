# ruff: noqa: N802  (the contract names the methods)
"""`policyctl learn` waits for the first version of a policy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1 import experience_pb2_grpc, training_pb2_grpc
from policyd import errors
from policyd.cli.exits import Exit
from tests.policyd.conftest import Peer, Shell, _abort

SPACES = "observation: Box(0.0, 1.0, (3,), float32)\naction: Discrete(4)\n"


class _Experience(experience_pb2_grpc.ExperienceServiceServicer):
    """A policy that is unknown until it is asked for the second time."""

    def __init__(self) -> None:
        self.known = itertools.chain([False], itertools.repeat(True))
        self.modes: list[int] = []

    def GetExperience(self, request: Any, context: Any) -> Any:
        """The configuration, which nobody has set."""
        if not next(self.known):
            _abort(context, errors.NotFound(f"no policy {request.policy}"))
        return pb.GetExperienceResponse()

    def SetExperienceConfig(self, request: Any, context: Any) -> Any:
        """Notes the mode."""
        self.modes.append(request.config.mode)
        return pb.SetExperienceConfigResponse(config=request.config)

    def _refuse(self, request: Any, context: Any) -> Any:
        _abort(context, errors.Unimplemented("the command does not need it"))

    DeleteEpisodes = ExportEpisodes = ReportOutcomes = _refuse

    def StreamEpisode(self, request_iterator: Any, context: Any) -> Any:
        """Refuses as well."""
        self._refuse(request_iterator, context)


class _BusyPeer(Peer):
    """A trainer that at first does not answer in time."""

    def __init__(self) -> None:
        super().__init__()
        self.late = iter(
            (errors.DeadlineExceeded("the trainer did not answer"), errors.Unavailable("no trainer"))
        )

    def GetTrainingJob(self, request: Any, context: Any) -> Any:
        """A job that has published version 1."""
        if error := next(self.late, None):
            _abort(context, error)
        self.jobs[request.job_id].progress.learning.version = 1
        return super().GetTrainingJob(request, context)


@pytest.fixture
def experience() -> _Experience:
    """What the server says of the policy."""
    return _Experience()


@pytest.fixture
def busy(experience: _Experience, capfd: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """The command policyctl for a server whose trainer is busy at first."""
    server = grpc.server(ThreadPoolExecutor(4))
    training_pb2_grpc.add_TrainingServiceServicer_to_server(_BusyPeer(), server)
    experience_pb2_grpc.add_ExperienceServiceServicer_to_server(experience, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Shell(f"127.0.0.1:{port}", capfd)
    server.stop(None).wait()


def test_a_busy_server_does_not_end_the_wait(busy: Shell, experience: _Experience, tmp_path: Path) -> None:
    """The policy gets its mode although two answers were late.

    Without the mode, each report of its clients is refused.
    """
    spaces = tmp_path / "spaces"
    spaces.write_text(SPACES)
    assert busy("learn", "--policy", "shop", "--spaces", str(spaces)) == Exit.OK, busy.err
    assert experience.modes == [pb.ExperienceConfig.LEARN]
