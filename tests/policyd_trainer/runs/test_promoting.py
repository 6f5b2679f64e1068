"""Promotion as a compare-and-set against the champion that was measured."""

from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.runs.promoting import promote


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """A repository whose champion is version 1."""
    repository = ModelRepository(tmp_path)
    _publish(repository)
    repository.set_alias("pole", "champion", 1, actor="test", reason="")
    return repository


def _publish(repository: ModelRepository) -> PublishedVersion:
    metadata = artifact_pb2.PolicyMetadata(
        policy="pole",
        observation_space=artifact_pb2.Space(box=artifact_pb2.BoxSpace(shape=[4], dtype="float32")),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=2)),
    )
    return repository.publish("pole", {"model.onnx": b"model"}, metadata=metadata)


def _better_than(version: int) -> GateVerdict:
    return GateVerdict(alias="champion", champion_version=version, promote=True, explanation="better")


def _never() -> GateVerdict:
    raise AssertionError("the champion did not change")


def test_the_measured_champion_is_replaced(repository: ModelRepository) -> None:
    """The alias moves, and the history says why. A second promotion changes nothing."""
    published = _publish(repository)
    promoted = promote(repository, published, _better_than(1), _never)
    assert (promoted.promoted, promoted.generation) == (True, 2)
    assert repository.aliases("pole").history[-1].reason == "better"
    assert promote(repository, published, _better_than(1), _never) == promoted
    assert repository.aliases("pole").generation == 2


def test_a_refusal_moves_nothing(repository: ModelRepository) -> None:
    """The reason is that of the verdict."""
    verdict = GateVerdict(alias="champion", champion_version=1, explanation="worse")
    promoted = promote(repository, _publish(repository), verdict, _never)
    assert (promoted.promoted, promoted.reason) == (False, "not promoted: worse")
    assert repository.aliases("pole").aliases["champion"] == 1


@pytest.mark.parametrize("passes", [True, False])
def test_another_champion_is_measured_again(repository: ModelRepository, passes: bool) -> None:
    """If another version was promoted meanwhile, the gate runs again.

    The new verdict counts and is kept.
    """
    published, other = _publish(repository), _publish(repository)
    repository.set_alias("pole", "champion", other.version, actor="somebody", reason="")
    again = _better_than(other.version)
    again.promote = passes
    promoted = promote(repository, published, _better_than(1), lambda: again)
    assert promoted.promoted is passes
    assert promoted.verdict == again == repository.verdict("pole", published.version)
    expected = published.version if passes else other.version
    assert repository.aliases("pole").aliases["champion"] == expected


def test_a_change_between_measuring_and_moving_is_seen(repository: ModelRepository) -> None:
    """Each round measures the current champion, also if that changes while the gate runs."""
    published, second, third = (_publish(repository) for _ in range(3))
    repository.set_alias("pole", "champion", second.version, actor="somebody", reason="")
    asked: list[int] = []

    def judge_again() -> GateVerdict:
        measured = repository.aliases("pole").aliases["champion"]
        asked.append(measured)
        if len(asked) == 1:
            repository.set_alias("pole", "champion", third.version, actor="somebody", reason="")
        return _better_than(measured)

    assert promote(repository, published, _better_than(1), judge_again).promoted
    assert asked == [second.version, third.version]


def test_another_alias_does_not_matter(repository: ModelRepository) -> None:
    """Another alias raises the generation, but the champion is still the measured one."""
    published = _publish(repository)
    repository.set_alias("pole", "canary", published.version, actor="somebody", reason="")
    assert promote(repository, published, _better_than(1), _never).promoted


def test_a_rollback_is_not_undone(repository: ModelRepository) -> None:
    """A job that resumes after its promotion does not undo later changes by people."""
    published = _publish(repository)
    promote(repository, published, _better_than(1), _never)
    repository.rollback_alias("pole", "champion", actor="operator", reason="it falls")
    resumed = promote(repository, published, _better_than(1), _never)
    assert not resumed.promoted
    assert "names version 1 since" in resumed.reason
    assert repository.aliases("pole").aliases["champion"] == 1
