"""A policy learns from its clients although server and trainer share object storage alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from examples.stack.processes import ServiceProcess
from policy_api.v1.experience_pb2 import ExperienceConfig
from policyd import PolicyClient
from policyd.cli.space_text import read_spaces
from policyd.errors import NotFound
from policyd.experience.learned import read_learned
from policyd.experience.sealed import read_sealed
from policyd.repository import ModelRepository
from policyd_trainer.jobs.records import to_json
from tests.e2e.crash.bandit import POLICY, SPACES, Players, until
from tests.s3 import S3Server

pytestmark = pytest.mark.long
SETTINGS = ("batch_steps=256", "learning_rate=0.005", "n_epochs=4")


@contextmanager
def learner(folder: Path, location: str) -> Iterator[subprocess.Popen[bytes]]:
    """`policyd-trainer learn` on a machine without access to the server's files."""
    spaces = folder / "spaces.yaml"
    spaces.write_text(SPACES)
    words = ["learn", "--policy", POLICY, "--repository", location, "--progress", "none"]
    words += ["--spaces", to_json(read_spaces(spaces)), "--run-dir", str(folder / "run")]
    for setting in SETTINGS:
        words += ["--set", setting]
    with (folder / "learner.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "policyd_trainer", *words], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def test_it_is_learned_and_nothing_acknowledged_is_lost(tmp_path: Path, s3: S3Server) -> None:
    """Server and learner die by kill -9. Then the learner has read each report exactly once."""
    location = s3.location()
    repository = ModelRepository(location)
    repository.prepare()
    server_folder, learner_folder = tmp_path / "server", tmp_path / "learner"
    server_folder.mkdir()
    learner_folder.mkdir()
    command = [sys.executable, "-m", "policyd_server", "--repository", location, "--listen"]
    options = ["--experience", str(server_folder / "experience"), "--cache", str(server_folder / "cache")]
    variables = {"POLICYD_WORKERS": "1"}
    server = ServiceProcess("server", [*command, "127.0.0.1:0", *options], server_folder, variables)
    try:
        address = server.address()
        with learner(learner_folder, location) as first:
            assert until(lambda: is_served(address))
            with Players(address) as players:
                assert until(lambda: champion(repository) >= 2, 90)
                first.kill()
                os.kill(server.pid, signal.SIGKILL)
                server.stop()
                server = ServiceProcess("server", [*command, address, *options], server_folder, variables)
                server.address()
                before = champion(repository)
                with learner(learner_folder, location):
                    assert until(lambda: champion(repository) >= before + 2, 90)
            reported = dict(players.acknowledged)
            known = server_folder / "experience" / "episodes" / POLICY
            assert until(lambda: reported.keys() <= {e.episode.episode_id for e in read_sealed(known)})
            with learner(learner_folder, location):
                copy = learner_folder / "run" / "experience" / "episodes" / POLICY
                assert until(lambda: list(read_sealed(copy)) == list(read_sealed(known)), 60)
                assert until(lambda: read_learned(server_folder / "experience", POLICY).episodes > 500)
        names = [each.episode.episode_id for each in read_sealed(copy)]
        assert len(names) == len(set(names))
        assert reported == {
            each.episode.episode_id: each.episode.steps[0].reward
            for each in read_sealed(copy)
            if each.episode.episode_id in reported
        }
        with PolicyClient(address, timeout=60) as client:
            probs = np.asarray(client.act(np.zeros((1, 2), np.float32), policy=POLICY).action_probs)[0]
        assert probs[1] > 1 / 3
        content = json.loads(repository.read_published(repository.read(POLICY, before), "experience.json"))
        assert content["episodes"] > 0
    finally:
        server.stop()


def is_served(address: str) -> bool:
    """Whether the server has the policy. Sets its mode."""
    with PolicyClient(address, timeout=60) as client:
        try:
            client.set_experience_config(POLICY, ExperienceConfig(mode=ExperienceConfig.LEARN))
        except NotFound:
            return False
    return True


def champion(repository: ModelRepository) -> int:
    """The version that the alias names; 0 if there is none."""
    return repository.aliases(POLICY).aliases.get("champion", 0)
