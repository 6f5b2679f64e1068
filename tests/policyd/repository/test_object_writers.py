"""Writers that race and that are killed, in object storage; on real servers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policyd import errors
from policyd.repository import ModelRepository
from tests.policyd.repository.conftest import publish_content
from tests.stores import StoreServer

WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture
def repository(store: StoreServer) -> ModelRepository:
    """A repository on a server, for all tests here."""
    return ModelRepository(store.location())


def test_racing_writers_take_each_number_once(repository: ModelRepository) -> None:
    """Four writers publish ten versions each.

    The numbers are unique and without a gap, and every version is its writer's own.
    """

    def write(writer: int) -> dict[int, bytes]:
        own = ModelRepository(repository.location)
        contents = [f"{writer}-{i}".encode() for i in range(10)]
        return {publish_content(own, content): content for content in contents}

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(write, range(4)))
    together = {number: content for each in written for number, content in each.items()}
    assert sorted(together) == repository.versions("cartpole") == list(range(1, 41))
    for number, content in together.items():
        assert repository.read_model("cartpole", number) == content


def test_no_change_of_an_alias_is_lost(repository: ModelRepository) -> None:
    """Four writers change the alias ten times each.

    There are forty generations, and each change is in the history once.
    """
    for number in (1, 2):
        publish_content(repository, bytes([number]))

    def change(writer: int) -> None:
        own = ModelRepository(repository.location)
        for i in range(10):
            own.set_alias("cartpole", f"w{writer}", 1 + i % 2, actor=str(writer), reason=str(i))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    state = repository.aliases("cartpole")
    assert state.generation == len(state.history) == 40
    for writer in range(4):
        assert [change.reason for change in state.history_of(f"w{writer}")] == [str(i) for i in range(10)]
    with pytest.raises(errors.Conflict, match="generation 40, not 3"):
        repository.set_alias("cartpole", "w0", 1, actor="", reason="", expected_generation=3)


def test_attempts_at_one_job_publish_one_version(repository: ModelRepository) -> None:
    """Six attempts at the same job run at the same time.

    All return the same version, and there is no other.
    """
    with ThreadPoolExecutor(6) as pool:
        numbers = list(
            pool.map(
                lambda i: publish_content(ModelRepository(repository.location), b"%d" % i, "job"), range(6)
            )
        )
    assert len(set(numbers)) == 1
    assert repository.versions("cartpole") == numbers[:1]
    repository.verify("cartpole", numbers[0])
    assert publish_content(repository, b"later", "job") == numbers[0]


def _lives(location: str, name: str) -> list[dict[str, object]]:
    """Starts a writer and kills it at random, several times. Returns what it said was done."""
    chance = random.Random(name)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["proto", "."])}
    done: list[dict[str, object]] = []
    for life in range(4):
        command = [sys.executable, str(WRITER), location, f"{name}-{life}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            threading.Timer(chance.uniform(0, 0.3), process.kill).start()
            done += [json.loads(line) for line in [first, *process.stdout] if line.endswith("\n")]
    return done


def _read_all(repository: ModelRepository) -> None:
    """Checks that every listed version is whole, and that every alias names one."""
    for policy in repository.policies():
        for version in repository.versions(policy)[-3:]:
            repository.verify(policy, version)
        for named in repository.aliases(policy).aliases.values():
            repository.read_model(policy, named)


def test_writers_are_killed_while_readers_read(repository: ModelRepository) -> None:
    """Writers are killed with SIGKILL at random moments.

    What a writer said was done stays, and everything listed is whole.
    """
    with ThreadPoolExecutor(2) as pool:
        lives = [pool.submit(_lives, repository.location, name) for name in ("a", "b")]
        while not all(life.done() for life in lives):
            _read_all(repository)
        done = [entry for life in lives for entry in life.result()]
    assert len({entry["version"] for entry in done}) == len(done) >= 8
    for entry in done:
        kept = repository.verify("cartpole", int(str(entry["version"])))
        assert (kept.digest, kept.job_id) == (entry["digest"], entry["job_id"])
    assert repository.aliases("cartpole").generation >= len(done)
    repository.sweep()
    assert repository.policies() == ["cartpole"]
