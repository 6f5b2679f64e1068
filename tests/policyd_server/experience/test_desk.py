"""The recorder's desk: what it does with sealed episodes when it tidies up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.configs import ExperienceConfigs
from policyd.experience.learned import Learned, write_learned
from policyd.experience.sealed import read_sealed
from policyd_server.experience import desk as module
from policyd_server.experience.desk import Desk
from policyd_server.experience.wire import Method

POLICY = "p"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The desk of a policy that records."""
    monkeypatch.setattr(module, "CONFIG_SECONDS", 0.0)
    configure(tmp_path, keep=True)
    desk = Desk(tmp_path)
    yield desk
    desk.recorder.close()


def configure(root: Path, *, keep: bool) -> None:
    config = pb.ExperienceConfig(mode=pb.ExperienceConfig.LEARN, keep_observations=keep)
    ExperienceConfigs(root).change(pb.SetExperienceConfigRequest(policy=POLICY, config=config))


def seal(desk: Desk, name: str) -> None:
    """Seals one episode of one step, which is decided and reported."""
    step = pb.RecordedStep(step=0, version=1, observation=b"seen by " + name.encode())
    desk.recorder.decide(pb.DecisionRecord(policy=POLICY, episode_id=name, step=step))
    outcome = pb.Outcome(episode_id=name, reward=1, end=pb.TERMINATED)
    request = pb.ReportOutcomesRequest(policy=POLICY, outcomes=[outcome])
    desk.answer(Method.REPORT, "", request.SerializeToString())
    desk.recorder.commit()


def test_observations_are_forgotten_once_they_were_learned_from(desk: Desk, tmp_path: Path) -> None:
    """Observations stay until then, or if the configuration keeps them. Later ones stay."""
    seal(desk, "a")
    [first] = read_sealed(tmp_path / "episodes" / POLICY)
    write_learned(tmp_path, POLICY, Learned(first.after, 1, 1))
    seal(desk, "b")
    desk.tidy()
    assert [sealed.observed for sealed in read_sealed(tmp_path / "episodes" / POLICY)] == [True, True]
    configure(tmp_path, keep=False)
    desk.tidy()
    found = list(read_sealed(tmp_path / "episodes" / POLICY))
    assert [sealed.observed for sealed in found] == [False, True]
    assert found[1].episode.steps[0].observation == b"seen by b"
    held = b"".join(path.read_bytes() for path in (tmp_path / "episodes" / POLICY).glob("*.log"))
    assert b"seen by a" not in held
