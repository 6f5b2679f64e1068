"""The gate's verdicts beside a version."""

from collections.abc import Callable

import pytest

from policy_api.v1 import artifact_pb2, gate_pb2
from policyd import errors
from policyd.repository import ModelRepository, PublishedVersion, verdicts
from tests.policyd.repository.conftest import Raw

Publish = Callable[..., PublishedVersion]


def test_a_version_that_was_never_judged_has_none(repository: ModelRepository, publish: Publish) -> None:
    """A version that was not judged has no verdict, and an unknown version is not found."""
    publish()
    assert repository.verdict("cartpole", 1) is None
    with pytest.raises(errors.NotFound):
        repository.verdict("cartpole", 2)


def test_the_last_verdict_counts(
    repository: ModelRepository, raw: Raw, metadata: artifact_pb2.PolicyMetadata
) -> None:
    """Verdicts of later rounds are stored beside the published one, which does not change.

    The version stays valid.
    """
    rounds = [gate_pb2.GateVerdict(champion_version=n, explanation=f"round {n}") for n in (1, 2, 3)]
    files = {"model.onnx": b"model", verdicts.FIRST: verdicts.encode(rounds[0])}
    path = repository.publish("cartpole", files, metadata=metadata).path
    assert repository.verdict("cartpole", 1) == rounds[0]
    for verdict in rounds[1:]:
        repository.add_verdict("cartpole", 1, verdict)
        assert repository.verdict("cartpole", 1) == verdict
    assert sorted(name for name in raw.names(path) if name.startswith("gate")) == [
        "gate-2.json",
        "gate-3.json",
        "gate.json",
    ]
    repository.verify("cartpole", 1)
    raw.write(f"{path}/gate-3.json", b"{")
    with pytest.raises(errors.CorruptArtifact, match="gate-3"):
        repository.verdict("cartpole", 1)
