"""kill -9 at any moment, full disks.

What was published stays whole, and no number is lost or used twice.
"""

import json
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policyd import errors
from policyd.repository import ModelRepository, PublishedVersion

pytestmark = pytest.mark.long

Publish = Callable[..., PublishedVersion]
WRITER = Path(__file__).with_name("writer.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(["proto", "."])}
KILLS = 8


@pytest.fixture
def repository(disk: ModelRepository) -> ModelRepository:
    """A repository on disk: only a disk can fail in these ways."""
    return disk


class Reader(threading.Thread):
    """Reads everything again and again, and keeps the first error."""

    def __init__(self, repository: ModelRepository) -> None:
        super().__init__()
        self.repository = repository
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self.reads = 0

    def run(self) -> None:
        """Until `stop` is set."""
        try:
            while not self.stop.is_set():
                self._read_all()
        except BaseException as error:  # noqa: BLE001  raised in the test's own thread
            self.error = error

    def _read_all(self) -> None:
        generation = -1
        for policy in self.repository.policies():
            for version in self.repository.versions(policy)[-5:]:
                self.repository.verify(policy, version)
                self.reads += 1
                state = self.repository.aliases(policy)
                assert state.generation == len(state.history) >= generation
                generation = state.generation
                for named in state.aliases.values():
                    self.repository.read_model(policy, named)


def _writer_lives(root: Path, name: str) -> Iterator[dict[str, object]]:
    """Starts a writer and kills it at a random moment, several times.

    Returns what it said was done.
    """
    chance = random.Random(name)
    for life in range(KILLS):
        command = [sys.executable, str(WRITER), str(root), f"{name}-{life}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            threading.Timer(chance.uniform(0, 0.3), process.kill).start()
            for line in [first, *process.stdout]:
                if line.endswith("\n"):
                    yield json.loads(line)


def test_writers_are_killed_while_readers_read(repository: ModelRepository) -> None:
    """Two writers and two readers run at once.

    No read is torn, no number is lost or used twice, and alias states are always whole.
    """
    done: list[dict[str, object]] = []
    writers = [
        threading.Thread(target=lambda name=name: done.extend(_writer_lives(repository.root, name)))
        for name in ("a", "b")
    ]
    readers = [Reader(repository), Reader(repository)]
    for thread in [*readers, *writers]:
        thread.start()
    for writer in writers:
        writer.join()
    for reader in readers:
        reader.stop.set()
        reader.join()
    assert [reader.error for reader in readers] == [None, None]
    assert min(reader.reads for reader in readers) > 0
    versions = repository.versions("cartpole")
    assert versions == list(range(1, len(versions) + 1))
    assert len({entry["version"] for entry in done}) == len(done) >= 2 * KILLS
    for entry in done:
        kept = repository.verify("cartpole", int(str(entry["version"])))
        assert (kept.digest, kept.job_id) == (entry["digest"], entry["job_id"])
    assert repository.aliases("cartpole").generation >= len(done)
    repository.sweep()
    assert list((repository.root / "staging").iterdir()) == []


def test_a_publisher_may_die_at_every_step(repository: ModelRepository) -> None:
    """After a death at any file operation the repository is valid.

    The same job then ends with one version.
    """
    command = [sys.executable, str(WRITER), str(repository.root), "--each-step"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout
    lives = [json.loads(line) for line in output.splitlines()]
    assert len(lives) > 20
    for step, life in enumerate(lives):
        policy = f"policy-{step}"
        assert repository.versions(policy) == [life["version"]] == [1]
        assert repository.verify(policy, 1).job_id == "job"
        state = repository.aliases(policy)
        assert (state.generation, state.aliases["champion"], len(state.history)) == (1, 1, 1)
    assert repository.sweep() > 0
    assert repository.sweep() == 0


def test_a_living_publishers_staging_is_not_swept(repository: ModelRepository, publish: Publish) -> None:
    """Only staging folders without a living publisher are swept."""
    publish()
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            ModelRepository(repository.root).sweep()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        assert [publish().version for _ in range(50)] == list(range(2, 52))
    finally:
        stop.set()
        sweeper.join()


def test_a_file_size_limit_publishes_nothing(repository: ModelRepository, publish: Publish) -> None:
    """A write that the kernel cuts short raises an error of the tree.

    Nothing is left behind, and with more room the publication succeeds.
    """
    publish(b"small")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(errors.Exhausted, match="no space left"):
            publish(b"x" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    _assert_only_first(repository)
    assert publish(b"x" * 20_000).version == 2


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system of 128 KiB needs root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_publishes_nothing(tiny_disk: Path, metadata: artifact_pb2.PolicyMetadata) -> None:
    """On a full disk the old version stays readable.

    When there is room, it can be promoted.
    """
    repository = ModelRepository(tiny_disk)
    repository.publish("cartpole", {"model.onnx": b"small"}, metadata=metadata)
    with pytest.raises(errors.Exhausted, match="no space left"):
        repository.publish("cartpole", {"model.onnx": b"x" * 200_000}, metadata=metadata)
    _assert_only_first(repository)
    filler = tiny_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(errors.Exhausted):
        repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    assert repository.aliases("cartpole").generation == 0
    filler.unlink()
    assert repository.set_alias("cartpole", "champion", 1, actor="", reason="").generation == 1


@pytest.fixture
def read_only_models(repository: ModelRepository, publish: Publish) -> Iterator[None]:
    publish()
    models = str(repository.root / "models")
    if subprocess.run(["mount", "--bind", models, models], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a folder read-only needs root")
    subprocess.run(["mount", "-o", "remount,bind,ro", models], check=True)
    yield
    subprocess.run(["umount", models], check=True)


@pytest.mark.usefixtures("read_only_models")
def test_models_may_be_mounted_read_only(repository: ModelRepository, publish: Publish) -> None:
    """Reading, promoting and rolling back need no write access to `models`.

    Publishing says that it needs it.
    """
    assert repository.read_model("cartpole", 1) == b"model"
    assert repository.set_alias("cartpole", "champion", 1, actor="", reason="").generation == 1
    with pytest.raises(errors.FailedPrecondition, match="cannot be written"):
        publish()


def _assert_only_first(repository: ModelRepository) -> None:
    assert repository.versions("cartpole") == [1]
    repository.verify("cartpole", 1)
    assert list((repository.root / "staging").iterdir()) == []
