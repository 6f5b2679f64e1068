"""The gate's verdicts beside a version."""

from collections.abc import Callable

import pytest

from policy_api import errors
from policy_api.v1 import artifact_pb2, gate_pb2
from repository import ModelRepository, PublishedVersion, verdicts

Publish = Callable[..., PublishedVersion]


def test_a_version_that_was_never_judged_has_none(repository: ModelRepository, publish: Publish) -> None:
    """And an unknown one is not found."""
    publish()
    assert repository.verdict("cartpole", 1) is None
    with pytest.raises(errors.NotFound):
        repository.verdict("cartpole", 2)


def test_the_last_verdict_counts(repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata) -> None:
    """Later rounds stand beside the published one, which stays as it was; the version stays valid."""
    rounds = [gate_pb2.GateVerdict(champion_version=n, explanation=f"round {n}") for n in (1, 2, 3)]
    files = {"model.onnx": b"model", verdicts.FIRST: verdicts.encode(rounds[0])}
    directory = repository.publish("cartpole", files, metadata=metadata).directory
    assert repository.verdict("cartpole", 1) == rounds[0]
    for verdict in rounds[1:]:
        repository.add_verdict("cartpole", 1, verdict)
        assert repository.verdict("cartpole", 1) == verdict
    assert sorted(path.name for path in directory.glob("gate*")) == [
        "gate-2.json",
        "gate-3.json",
        "gate.json",
    ]
    repository.verify("cartpole", 1)
    (directory / "gate-3.json").write_text("{")
    with pytest.raises(errors.CorruptArtifact, match="gate-3"):
        repository.verdict("cartpole", 1)
