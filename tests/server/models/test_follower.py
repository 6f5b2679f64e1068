"""Following the repository: load, verify, warm up, swap, release."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from policy_api.errors import CorruptArtifact
from repository import AliasState, ModelRepository
from server.models.catalog import Catalog
from server.models.follower import Follower
from tests.server import artifacts


class _CountingRepository(ModelRepository):
    """Says how often alias states were read."""

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
    return {alias: loaded.version for alias, loaded in follower.catalog.serving("p").items()}


def test_a_poll_without_changes_reads_no_alias(repository: _CountingRepository) -> None:
    """Only what changed on disk is read."""
    _publish(repository)

    async def run() -> None:
        follower = Follower(repository, Catalog(0))
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
    """The old session lives while a request holds it, and not longer."""
    _publish(repository)

    async def run() -> None:
        follower = Follower(repository, Catalog(0))
        await follower.poll()
        held = follower.catalog.by_alias("p", "champion")
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
    """Ten requests for a version that is not in memory get one and the same."""
    version = _publish(repository, promote=False)

    async def run() -> None:
        follower = Follower(repository, Catalog(0))
        loaded = await asyncio.gather(*(follower.load("p", version) for _ in range(10)))
        assert len({id(one) for one in loaded}) == 1

    asyncio.run(run())


def test_a_repaired_version_is_served_without_another_promotion(repository: _CountingRepository) -> None:
    """A version that did not load is tried again, ever more rarely; meanwhile the last good one serves."""
    _publish(repository)
    bad = repository.read("p", _publish(repository, promote=False))
    whole = bad.model_path.read_bytes()
    bad.model_path.chmod(0o644)
    bad.model_path.write_bytes(whole[:-1])

    async def run() -> None:
        follower = Follower(repository, Catalog(0))
        await follower.poll()
        repository.set_alias("p", "champion", 2, actor="", reason="")
        await follower.poll()
        assert _serves(follower) == {"champion": 1}
        failure = follower.failures["p", "champion"]
        assert (failure.version, failure.attempts) == (2, 1)
        follower.failures["p", "champion"] = replace(failure, retry_at=0)
        await follower.poll()
        assert follower.failures["p", "champion"].attempts == 2
        bad.model_path.write_bytes(whole)
        follower.failures["p", "champion"] = replace(failure, retry_at=0)
        await follower.poll()
        assert _serves(follower) == {"champion": 2}
        assert not follower.failures

    asyncio.run(run())


def test_a_model_that_is_not_what_its_metadata_says_does_not_load(repository: _CountingRepository) -> None:
    """Another observation size than described is refused by name, before anybody is served by it."""
    model = artifacts.model(artifacts.metadata("p", (5,)))
    repository.publish("p", {"model.onnx": model}, metadata=artifacts.metadata("p", (4,)))
    with pytest.raises(CorruptArtifact, match=r"inputs are .*5.* its metadata wants .*4"):
        asyncio.run(Follower(repository, Catalog(0)).load("p", 1))
