"""A real server on a repository in which something is damaged."""

import os
import shutil
import time
from collections.abc import Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policy_api.v1 import policy_pb2 as pb
from policyd.repository import ModelRepository, PublishedVersion
from tests.policyd_server.process import ServerProcess
from tests.waiting import until

Publish = Callable[..., PublishedVersion]
StartServer = Callable[..., ServerProcess]


def _version_of(server: ServerProcess, policy: str) -> int:
    return (
        server.policy.GetPolicy(pb.GetPolicyRequest(policy=policy), timeout=60)
        .policy.aliases[0]
        .serving_version
    )


def test_one_bad_entry_stops_nobody_else(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """A server meets damage at its start and later. Other policies work as usual."""
    for policy in ("good", "worse", "late", "piped"):
        publish(policy)
    os.mkfifo(repository.root / "aliases/piped.traffic")
    (repository.root / "models/ghost").symlink_to("/nowhere")
    alias = repository.root / "aliases/worse.json"
    alias.unlink()
    alias.mkdir()
    server = start_server("--metrics", "127.0.0.1:0")
    assert _version_of(server, "good") == 1
    (repository.root / "aliases/late.json").write_text('{"champion": Infinity}')
    (repository.root / "models/loop").symlink_to(repository.root / "models/loop")
    publish("good")
    until(lambda: _version_of(server, "good") == 2)  # the swap of a whole policy
    until(lambda: server.log.count("late is damaged") == 1)  # the damage in the log
    until(lambda: server.log.count("loop is damaged") == 1)  # the damage in the log
    listed = server.policy.ListPolicies(pb.ListPoliciesRequest(), timeout=60).policies
    assert {policy.name: bool(policy.damage) for policy in listed} == {
        "ghost": True,
        "good": False,
        "late": True,
        "loop": True,
        "piped": True,
        "worse": True,
    }
    health = health_pb2_grpc.HealthStub(server.channel)
    for policy, status in (("good", 1), ("late", 2), ("worse", 2)):
        request = health_pb2.HealthCheckRequest(service=f"policy_api.v1.PolicyService/{policy}")
        assert health.Check(request, timeout=60).status == status
    answer, call = health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=60)
    detail = dict(call.trailing_metadata())["policyd-detail"]
    assert answer.status == 1
    assert "ghost" in str(detail)
    request = pb.ActRequest(policy="late", observations=pb.FloatArray(values=[0, 0, 0, 0]))
    assert server.policy.Act(request, timeout=60).version == 1
    with pytest.raises(grpc.RpcError) as raised:
        server.policy.SetAlias(pb.SetAliasRequest(policy="late", version=1), timeout=60)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "aliases/late.json is damaged" in str(raised.value.details())
    assert _version_of(server, "piped") == 1
    publish("piped")
    until(lambda: _version_of(server, "piped") == 2)  # the swap of a policy whose shares are damaged
    assert server.log.count("piped is damaged: ") == 1
    assert server.log.count("piped.traffic") == 1
    assert server.log.count("late is damaged") == server.log.count("ghost is damaged") == 1


def test_a_policy_made_again_answers_with_its_new_bytes(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """A policy is deleted and made again with the same name and number.

    Its responses and its digest are new.
    """
    publish()
    server = start_server()
    request = pb.ActRequest(observations=pb.FloatArray(values=[0.1, 0, 0, 0]))
    first = server.policy.Act(request, timeout=60)
    by_number = pb.ActRequest(version=1, observations=request.observations)
    server.policy.Act(by_number, timeout=60)
    shutil.rmtree(repository.root / "models/cartpole")
    (repository.root / "aliases/cartpole.json").unlink()
    publish("another")  # so that the same seed gives other weights below
    again = publish("cartpole", observation_shape=(4,), n=3)
    until(
        lambda: server.policy.Act(request_of(again), timeout=60).digest == again.digest,
        lambda: "the new bytes",
    )
    by_number.policy = request.policy = "cartpole"
    assert server.policy.Act(by_number, timeout=60).digest == again.digest != first.digest


def request_of(version: PublishedVersion) -> pb.ActRequest:
    return pb.ActRequest(policy=version.policy, observations=pb.FloatArray(values=[0.1, 0, 0, 0]))


def test_a_mistyped_repository_is_said(start_server: StartServer, repository: ModelRepository) -> None:
    """The log says so at the start, and health says it with SERVING, until there is a policy."""
    server = start_server()
    assert f"the repository {repository.root} does not exist" in server.log
    health = health_pb2_grpc.HealthStub(server.channel)
    answer, call = health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=60)
    assert answer.status == 1
    assert "does not exist" in str(dict(call.trailing_metadata())["policyd-detail"])
    time.sleep(0.5)  # the polls in this time must not log it again
    assert server.log.count("does not exist") == 1


def test_a_folder_that_is_no_version_is_named_once(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """A model that was copied into place by hand is reported.

    The message has the command that publishes it.
    """
    publish()
    (folder := repository.root / "models/foreign/1").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model")
    server = start_server()
    until(lambda: "models/foreign/1 has no metadata.json" in server.log)  # the folder in the log
    assert "policyctl import" in server.log
    publish()
    until(lambda: _version_of(server, "cartpole") == 2)  # another change
    assert server.log.count("models/foreign/1") == 1
