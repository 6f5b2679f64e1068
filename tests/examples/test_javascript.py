"""The JavaScript example: a client from the .proto files, with a world of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from policyd import PolicyClient
from policyd.experience.sealed import read_sealed
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import ServerProcess

ROOT = Path(__file__).parents[2]
POLICY = "cartpole"
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None,
    reason="Node is not installed (Debian's packages nodejs and npm)",
)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example with its two packages and their dependencies."""
    folder = tmp_path / "examples" / "javascript"
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "examples" / "javascript", folder, ignore=ignored)
    (tmp_path / "proto").symlink_to(ROOT / "proto")
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if any(code in done.stderr for code in ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT")):
        pytest.skip(f"npm reaches no registry: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    repository = ModelRepository(tmp_path / "repository")
    described = artifacts.metadata(POLICY)
    repository.publish(POLICY, {"model.onnx": artifacts.model(described, seed=1)}, metadata=described)
    repository.set_alias(POLICY, "champion", 1, actor="test", reason="test")
    started = ServerProcess(tmp_path, repository.root)
    yield started
    assert started.stop() == 0


def test_a_javascript_client_plays_and_reports(example: Path, server: ServerProcess, tmp_path: Path) -> None:
    """What it prints is what is sealed: every step of every episode, as the server decided it."""
    with PolicyClient(server.address, timeout=60) as client:
        config = client.get_experience(POLICY).config
        config.mode = config.RECORD
        client.set_experience_config(POLICY, config, actor="test")
    done = subprocess.run(
        ["node", "cartpole.js", server.address, POLICY, "5"],
        cwd=example,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    sealed = [each.episode for each in read_sealed(tmp_path / "repository/experience/episodes" / POLICY)]
    assert [len(episode.steps) for episode in sealed] == told["returns"]
    assert all(episode.subject == "javascript" for episode in sealed)
