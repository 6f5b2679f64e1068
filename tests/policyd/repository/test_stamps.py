"""Signs of change for pollers."""

from __future__ import annotations

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd.repository import ModelRepository


def test_every_change_of_a_policy_changes_its_stamp_and_no_other(
    repository: ModelRepository, metadata: PolicyMetadata
) -> None:
    """Publishing, setting and rolling back each give the policy a new stamp.

    Other policies keep theirs.
    """
    assert repository.stamps() == {}
    seen = []
    for policy in ("other", "cartpole"):
        metadata.policy = policy
        repository.publish(policy, {"model.onnx": b"1"}, metadata=metadata)
        seen.append(repository.stamps())
        repository.publish(policy, {"model.onnx": b"2"}, metadata=metadata)
        seen.append(repository.stamps())
        for version in (1, 2):
            repository.set_alias(policy, "champion", version, actor="", reason="")
            seen.append(repository.stamps())
        repository.rollback_alias(policy, "champion", actor="", reason="")
        seen.append(repository.stamps())
    cartpole = [stamps.get("cartpole") for stamps in seen[4:]]
    assert len(set(cartpole)) == len(cartpole)
    assert {stamps["other"] for stamps in seen[4:]} == {seen[4]["other"]}
    assert repository.stamps() == seen[-1]
