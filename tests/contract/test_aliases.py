"""Promotion, rollback and what GetPolicy says of them, over the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1.gate_pb2 import DifferenceInterval, GateConfig, GateVerdict, PairedReturns
from policyd.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound, PolicydError
from policyd.repository import ModelRepository
from policyd.runtime import status
from tests.contract.conftest import Publish, StartServer

OBSERVATION = pb.FloatArray(values=[0.1, 0.2, 0.3, 0.4])


def _refusal(call: Callable[..., Any], request: Any) -> PolicydError:
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=60)
    return status.from_rpc_error(raised.value)


def test_a_promotion_serves_when_the_call_returns(publish: Publish, start_server: StartServer) -> None:
    """After SetAlias or RollbackAlias, the next response comes from the version of the alias."""
    for _ in range(3):
        publish(promote=False)
    server = start_server("--poll-interval", "3600")
    for version in (1, 2, 3):
        request = pb.SetAliasRequest(policy="cartpole", version=version, actor="me", reason="better")
        answer = server.policy.SetAlias(request, timeout=60)
        assert (answer.alias.version, answer.alias.serving_version, answer.generation) == (version,) * 3
        assert server.policy.Act(pb.ActRequest(observations=OBSERVATION), timeout=60).version == version
    for generation, version in ((4, 2), (5, 1)):
        rolled = server.policy.RollbackAlias(pb.RollbackAliasRequest(policy="cartpole"), timeout=60)
        assert (rolled.alias.version, rolled.generation) == (version, generation)
        assert server.policy.Act(pb.ActRequest(observations=OBSERVATION), timeout=60).version == version
    error = _refusal(server.policy.RollbackAlias, pb.RollbackAliasRequest(policy="cartpole"))
    assert isinstance(error, FailedPrecondition)
    history = server.policy.GetPolicy(pb.GetPolicyRequest(), timeout=60).policy.aliases[0].history
    assert [change.version for change in history] == [1, 2, 3, 2, 1]
    assert (history[0].actor, history[0].reason) == ("me", "better")


def test_who_asks_before_the_next_poll_is_told_what_serves(
    publish: Publish, start_server: StartServer
) -> None:
    """A version promoted a moment ago is loaded, whoever names it and in which way."""
    server = start_server("--poll-interval", "3600")

    def one() -> pb.Policy:
        return server.policy.GetPolicy(pb.GetPolicyRequest(), timeout=60).policy

    def all_of_them() -> pb.Policy:
        [policy] = server.policy.ListPolicies(pb.ListPoliciesRequest(), timeout=60).policies
        return policy

    for version, ask in enumerate((all_of_them, one, one, all_of_them), start=1):
        publish()
        policy = ask()
        assert [(a.version, a.serving_version) for a in policy.aliases] == [(version, version)]
        assert [v.version for v in policy.versions if v.loaded][-1] == version


def test_aliases_are_refused_as_the_contract_says(publish: Publish, start_server: StartServer) -> None:
    """Unknown versions, old generations, bad names and long texts each have their status."""
    publish()
    server = start_server()
    for expected, request in (
        (NotFound, pb.SetAliasRequest(policy="cartpole", version=2)),
        (NotFound, pb.SetAliasRequest(policy="pong", version=1)),
        (Conflict, pb.SetAliasRequest(version=1, alias="staging", expected_generation=7)),
        (InvalidArgument, pb.SetAliasRequest(version=1, alias="Not a name")),
        (InvalidArgument, pb.SetAliasRequest(version=0)),
        (InvalidArgument, pb.SetAliasRequest(version=1, reason="x" * 2000)),
    ):
        assert isinstance(_refusal(server.policy.SetAlias, request), expected)


def test_a_damaged_version_is_not_promoted(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """SetAlias verifies the version before the alias moves.

    If it is damaged, the alias stays and the last good version responds.
    """
    publish()
    damaged = publish(promote=False)
    model = repository.root / damaged.path / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    server = start_server()
    error = _refusal(server.policy.SetAlias, pb.SetAliasRequest(version=2))
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "CORRUPT_ARTIFACT"
    assert repository.aliases("cartpole").aliases == {"champion": 1}
    assert server.policy.Act(pb.ActRequest(observations=OBSERVATION), timeout=60).version == 1


def test_every_policy_is_listed_with_its_versions(publish: Publish, start_server: StartServer) -> None:
    """ListPolicies and GetPolicy give versions, digests, metadata, and which are in memory."""
    first, second = publish("a"), publish("a", promote=False)
    publish("b", observation_shape=(2, 3), n=3)
    server = start_server()
    policies = server.policy.ListPolicies(pb.ListPoliciesRequest(), timeout=60).policies
    assert [policy.name for policy in policies] == ["a", "b"]
    assert [(v.version, v.digest, v.loaded) for v in policies[0].versions] == [
        (1, first.digest, True),
        (2, second.digest, False),
    ]
    assert policies[0].versions[0].metadata.algorithm == "a2c"
    assert policies[0] == server.policy.GetPolicy(pb.GetPolicyRequest(policy="a"), timeout=60).policy
    assert isinstance(_refusal(server.policy.GetPolicy, pb.GetPolicyRequest(policy="c")), NotFound)


def test_a_version_tells_its_verdict(
    repository: ModelRepository, publish: Publish, start_server: StartServer
) -> None:
    """A version has its last verdict, with its numbers but without the episodes' returns.

    It has none if the gate did not run.
    """
    publish()
    publish(promote=False)
    judged = GateVerdict(
        outcome=GateVerdict.OUTCOME_WORSE,
        explanation="worse",
        config=GateConfig(criterion=GateConfig.BETTER, error_rate=0.05),
        champion_version=1,
        episodes=2,
        difference=DifferenceInterval(mean=-3, low=-4, high=-2, coverage=0.95),
        greedy=PairedReturns(challenger=[1, 2], champion=[4, 5], difference=DifferenceInterval(mean=-3)),
    )
    repository.add_verdict("cartpole", 2, GateVerdict(outcome=GateVerdict.OUTCOME_CANNOT_TELL))
    repository.add_verdict("cartpole", 2, judged)
    server = start_server()
    policy = server.policy.GetPolicy(pb.GetPolicyRequest(policy="cartpole"), timeout=60).policy
    versions = {version.version: version for version in policy.versions}
    assert not versions[1].HasField("verdict")
    for returns in (judged.greedy.challenger, judged.greedy.champion):
        del returns[:]
    assert versions[2].verdict == judged
