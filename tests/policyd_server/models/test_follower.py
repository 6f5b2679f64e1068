"""Following the repository: load, verify, warm up, swap, release."""

from __future__ import annotations

import asyncio
import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from policyd.errors import CorruptArtifact
from policyd.repository import AliasState, ModelRepository
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import LoadedVersions
from tests.policyd_server import artifacts


class _CountingRepository(ModelRepository):
    """Counts how often alias states were read."""

    reads = 0

    def aliases(self, policy: str) -> AliasState:
        self.reads += 1
        return super().aliases(policy)


@pytest.fixture
def repository(tmp_path: Path) -> _CountingRepository:
    return _CountingRepository(tmp_path)


def _publish(repository: ModelRepository, *, promote: bool = True) -> int:
    described = artifacts.metadata("p")
    seed = len(repository.versions("p")) if repository.policies() else 0
    version = repository.publish(
        "p", {"model.onnx": artifacts.model(described, seed=seed)}, metadata=described
    )
    if promote:
        repository.set_alias("p", "champion", version.version, actor="", reason="")
    return version.version


def _serves(follower: Follower) -> dict[str, int]:
    return {alias: loaded.version for alias, loaded in follower.loaded_versions.serving("p").items()}


def test_a_poll_without_changes_reads_no_alias(repository: _CountingRepository) -> None:
    """Only what changed on disk is read."""
    _publish(repository)

    async def run() -> None:
        follower = Follower(repository, LoadedVersions(0))
        await follower.poll()
        read = repository.reads
        for _ in range(5):
            await follower.poll()
        assert repository.reads == read
        _publish(repository)
        await follower.poll()
        assert repository.reads == read + 1
        assert _serves(follower) == {"champion": 2}

    asyncio.run(run())


def test_a_swapped_version_is_released_with_its_last_holder(repository: _CountingRepository) -> None:
    """The old session lives as long as a request holds it, and not longer."""
    _publish(repository)

    async def run() -> None:
        follower = Follower(repository, LoadedVersions(0))
        await follower.poll()
        held = follower.loaded_versions.by_alias("p", "champion")
        assert held is not None
        gone = weakref.ref(held)
        _publish(repository)
        await follower.poll()
        assert _serves(follower) == {"champion": 2}
        assert held.version == 1
        del held
        gc.collect()
        assert gone() is None

    asyncio.run(run())


def test_callers_at_the_same_time_share_one_load(repository: _CountingRepository) -> None:
    """Ten requests for a version that is not in memory get the same one."""
    version = _publish(repository, promote=False)

    async def run() -> None:
        follower = Follower(repository, LoadedVersions(0))
        loaded = await asyncio.gather(*(follower.load("p", version) for _ in range(10)))
        assert len({id(one) for one in loaded}) == 1

    asyncio.run(run())


def test_a_repaired_version_is_served_without_another_promotion(repository: _CountingRepository) -> None:
    """A version that could not be loaded is tried again, with growing pauses.

    Meanwhile the last good one serves.
    """
    _publish(repository)
    bad = repository.read("p", _publish(repository, promote=False))
    model = repository.root / bad.path / "model.onnx"
    whole = model.read_bytes()
    model.chmod(0o644)
    model.write_bytes(whole[:-1])

    async def run() -> None:
        follower = Follower(repository, LoadedVersions(0))
        await follower.poll()
        repository.set_alias("p", "champion", 2, actor="", reason="")
        await follower.poll()
        assert _serves(follower) == {"champion": 1}
        failure = follower.troubles.failures["p", "champion"]
        assert (failure.version, failure.attempts) == (2, 1)
        follower.troubles.failures["p", "champion"] = replace(failure, retry_at=0)
        await follower.poll()
        assert follower.troubles.failures["p", "champion"].attempts == 2
        model.write_bytes(whole)
        follower.troubles.failures["p", "champion"] = replace(failure, retry_at=0)
        await follower.poll()
        assert _serves(follower) == {"champion": 2}
        assert not follower.troubles.failures

    asyncio.run(run())


def test_a_model_that_is_not_what_its_metadata_says_does_not_load(repository: _CountingRepository) -> None:
    """An observation size other than described is refused by name.

    The version never serves.
    """
    model = artifacts.model(artifacts.metadata("p", (5,)))
    repository.publish("p", {"model.onnx": model}, metadata=artifacts.metadata("p", (4,)))
    with pytest.raises(CorruptArtifact, match=r"inputs are .*5.* its metadata wants .*4"):
        asyncio.run(Follower(repository, LoadedVersions(0)).load("p", 1))


def test_damage_stays_with_its_policy(
    repository: _CountingRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged alias state stops only its own policy, which continues as before.

    The log says so once.
    """
    _publish(repository)
    (repository.root / "aliases/q.json").mkdir()

    async def run() -> None:
        follower = Follower(repository, LoadedVersions(0))
        await follower.poll()
        (repository.root / "aliases/p.json").write_text('{"aliases": {"champion": [1]}}')
        (repository.root / "models/ghost").symlink_to("/nowhere")
        for _ in range(3):
            await follower.poll()
        assert _serves(follower) == {"champion": 1}
        assert sorted(follower.troubles.damage) == ["ghost", "p", "q"]
        (repository.root / "aliases/p.json").unlink()
        (repository.root / "models/ghost").unlink()
        repository.set_alias("p", "champion", 1, actor="", reason="")
        await follower.poll()
        assert sorted(follower.troubles.damage) == ["q"]

    asyncio.run(run())
    told = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert sorted(line.split()[0] for line in told) == ["ghost", "p", "q"]


def test_a_policy_that_was_made_again_is_served_as_it_is_now(repository: _CountingRepository) -> None:
    """The same number with other content is another version, by alias and by number."""
    _publish(repository)
    _publish(repository, promote=False)

    async def run() -> None:
        follower = Follower(repository, loaded_versions := LoadedVersions(4))
        await follower.poll()
        loaded_versions.keep(await follower.load("p", 2))
        first = loaded_versions.by_alias("p", "champion")
        shutil.rmtree(repository.root / "models/p")
        (repository.root / "aliases/p.json").unlink()
        described = artifacts.metadata("p")
        repository.publish("p", {"model.onnx": artifacts.model(described, seed=9)}, metadata=described)
        repository.set_alias("p", "champion", 1, actor="", reason="")
        await follower.poll()
        second = loaded_versions.by_alias("p", "champion")
        assert first is not None
        assert second is not None
        assert (first.version, second.version) == (1, 1)
        assert second.digest == repository.read("p", 1).digest != first.digest
        assert loaded_versions.by_version("p", 2) is None

    asyncio.run(run())


def test_a_policy_that_is_gone_is_released(repository: _CountingRepository) -> None:
    """The sessions and failures of a removed policy are dropped, and other policies stay."""
    _publish(repository)
    described = artifacts.metadata("other")
    repository.publish("other", {"model.onnx": artifacts.model(described, seed=0)}, metadata=described)

    async def run() -> None:
        follower = Follower(repository, loaded_versions := LoadedVersions(4))
        await follower.poll()
        gone = weakref.ref(loaded_versions.by_alias("p", "champion"))
        shutil.rmtree(repository.root / "models/p")
        (repository.root / "aliases/p.json").unlink()
        await follower.poll()
        gc.collect()
        assert gone() is None
        assert follower.policies == ["other"]
        assert _serves(follower) == {}

    asyncio.run(run())


def test_a_disk_that_goes_away_releases_nothing(repository: _CountingRepository) -> None:
    """Serving goes on while the whole repository is missing, and the follower reports that."""
    _publish(repository)

    async def run() -> None:
        follower = Follower(repository, LoadedVersions(0))
        await follower.poll()
        assert follower.troubles.problem == ""
        (repository.root / "models").rename(repository.root / "away")
        (repository.root / "aliases").rename(repository.root / "away-too")
        await follower.poll()
        assert _serves(follower) == {"champion": 1}
        assert "no folder `models`" in follower.troubles.problem
        (repository.root / "away").rename(repository.root / "models")
        (repository.root / "away-too").rename(repository.root / "aliases")
        await follower.poll()
        assert _serves(follower) == {"champion": 1}
        assert follower.troubles.problem == ""

    asyncio.run(run())
