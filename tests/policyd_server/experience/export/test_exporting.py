"""Exported files hold what was recorded, as other programs read it."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import minari
import numpy as np
import pyarrow.parquet as pq
import pytest

from policy_api.v1 import artifact_pb2
from policy_api.v1 import experience_pb2 as pb
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.experience.sealed import SealedLog
from policyd_server.experience.export.chunks import CHUNK_BYTES, bounded
from policyd_server.experience.export.exporting import exported
from tests.policyd_server import artifacts

POLICY = "cartpole"
MINARI, PARQUET = pb.ExportEpisodesRequest.MINARI, pb.ExportEpisodesRequest.PARQUET


def step(number: int, *, version: int = 1, reported: bool = True) -> pb.RecordedStep:
    recorded = pb.RecordedStep(
        step=number,
        version=version,
        observation=np.full(4, number / 8, "<f4").tobytes(),
        action=np.array([number % 2], "<i8").tobytes(),
        log_prob=-0.5,
        seed=2**63 + number,
        reported=reported,
        reward=float(number),
    )
    recorded.decide_time.FromSeconds(1_800_000_000)
    return recorded


def episode(name: str, *steps: pb.RecordedStep, end: pb.End.ValueType = pb.TERMINATED) -> pb.Episode:
    final = np.full(4, 9, "<f4").tobytes() if end == pb.TRUNCATED else b""
    return pb.Episode(policy=POLICY, episode_id=name, steps=steps, end=end, final_observation=final)


EPISODES = (
    episode("terminated", step(0), step(1)),
    episode("truncated", step(0, version=2), step(1, version=2), end=pb.TRUNCATED),
    episode("hole", step(0), step(2)),
    episode("silent", step(0), step(1, reported=False), end=pb.ABANDONED),
    episode("nothing", step(1)),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    log = SealedLog(tmp_path / "episodes" / POLICY)
    for each in EPISODES:
        log.append(each)
    log.commit()
    log.close()
    return tmp_path


def export(root: Path, kind: pb.ExportEpisodesRequest.Format.ValueType, version: int = 0) -> bytes:
    request = pb.ExportEpisodesRequest(policy=POLICY, format=kind, version=version)
    return b"".join(exported(root, request, artifacts.metadata(POLICY)))


def test_parquet_has_a_row_for_each_recorded_step(root: Path) -> None:
    """All fields are in it, and also holes and steps without an outcome."""
    rows = pq.read_table(io.BytesIO(export(root, PARQUET))).to_pylist()
    assert [row["episode_id"] for row in rows] == [e.episode_id for e in EPISODES for _ in e.steps]
    first, second, third, fourth = rows[:4]
    assert first["observation"] == [0, 0, 0, 0]
    assert (second["action"], second["reward"], second["seed"]) == ([1], 1, 2**63 + 1)
    assert [row["end"] for row in rows[:4]] == ["GOES_ON", "TERMINATED", "GOES_ON", "TRUNCATED"]
    assert (third["version"], third["value"], third["action_mask"]) == (2, None, None)
    assert fourth["final_observation"] == [9, 9, 9, 9]
    assert [row["reported"] for row in rows].count(False) == 1


def test_a_final_observation_of_another_size_stops_no_export(root: Path) -> None:
    """A client may have sent it to a server that did not check it."""
    log = SealedLog(root / "episodes" / POLICY)
    told = episode("told", step(0), end=pb.TRUNCATED)
    told.final_observation = b"abc"
    log.append(told)
    log.commit()
    log.close()
    last = pq.read_table(io.BytesIO(export(root, PARQUET))).to_pylist()[-1]
    assert (last["episode_id"], last["final_observation"]) == ("told", None)
    assert export(root, MINARI)


def test_minari_loads_the_data_set(root: Path, tmp_path: Path) -> None:
    """Minari itself reads spaces and episodes, and of an episode with a hole the part before."""
    with tarfile.open(fileobj=io.BytesIO(export(root, MINARI))) as tar:
        tar.extractall(tmp_path, filter="data")
    data = minari.MinariDataset(tmp_path / "policyd" / f"{POLICY}-v0" / "data")
    assert data.observation_space.shape == (4,)
    assert data.action_space.n == 2
    episodes = list(data.iterate_episodes())
    assert [len(each) for each in episodes] == [2, 2, 1, 1]
    terminated, truncated, hole, silent = episodes
    assert terminated.terminations.tolist() == [False, True]
    assert truncated.truncations.tolist() == [False, True]
    assert truncated.observations[-1].tolist() == [9, 9, 9, 9]
    assert hole.observations[-1].tolist() == [0.25] * 4  # the decision after the hole
    assert silent.truncations.tolist() == [True]
    assert terminated.actions.tolist() == [0, 1]
    assert (data.total_episodes, data.total_steps) == (4, 6)


def test_continuous_actions_are_what_the_environment_took(tmp_path: Path) -> None:
    """A Box's normal samples are clipped to its bounds in the export."""
    described = artifact_pb2.PolicyMetadata()
    described.CopyFrom(artifacts.metadata(POLICY))
    described.action_space.box.CopyFrom(artifact_pb2.BoxSpace(shape=[1], dtype="float32", low=[-1], high=[1]))
    gaussian = described.distribution.gaussian
    gaussian.low.append(-1)
    gaussian.high.append(1)
    recorded = step(0)
    recorded.action = np.array([3], "<f4").tobytes()
    log = SealedLog(tmp_path / "episodes" / POLICY)
    log.append(episode("box", recorded))
    log.commit()
    log.close()
    request = pb.ExportEpisodesRequest(policy=POLICY, format=MINARI)
    with tarfile.open(fileobj=io.BytesIO(b"".join(exported(tmp_path, request, described)))) as tar:
        tar.extractall(tmp_path, filter="data")
    [found] = minari.MinariDataset(tmp_path / "policyd" / f"{POLICY}-v0" / "data").iterate_episodes()
    assert found.actions.tolist() == [[1.0]]


def test_episodes_with_other_spaces_are_refused_by_name(root: Path) -> None:
    """A data set of Minari has one space. Episodes of one version can still be exported."""
    log = SealedLog(root / "episodes" / POLICY)
    other = episode("other", step(0, version=3))
    other.steps[0].observation = np.zeros(6, "<f4").tobytes()
    log.append(other)
    log.commit()
    log.close()
    with pytest.raises(FailedPrecondition, match=r"'other' \(version 3\) has other spaces.*--version"):
        export(root, MINARI)
    assert export(root, MINARI, version=2)
    assert export(root, PARQUET)


def test_only_one_version(root: Path) -> None:
    """Episodes in which another version acted are left out."""
    rows = pq.read_table(io.BytesIO(export(root, PARQUET, version=2))).to_pylist()
    assert {row["episode_id"] for row in rows} == {"truncated"}


def test_pieces_are_bounded() -> None:
    """No message is larger than a client accepts."""
    pieces = list(bounded([bytes(3 * CHUNK_BYTES + 1), b"", b"x"]))
    assert [len(piece) for piece in pieces] == [CHUNK_BYTES] * 3 + [1, 1]


def test_what_is_wrong_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset format, and an extra that is not installed, are named."""
    with pytest.raises(InvalidArgument, match="MINARI or PARQUET"):
        export(root, pb.ExportEpisodesRequest.FORMAT_UNSPECIFIED)
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.delitem(sys.modules, "policyd_server.experience.export.minari", raising=False)
    with pytest.raises(FailedPrecondition, match=r"policyd\[export\]"):
        export(root, MINARI)
