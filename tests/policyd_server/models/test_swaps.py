"""Hot swaps: one answer, one version, nothing dropped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import onnxruntime as ort
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import policy_pb2_grpc
from policyd.repository import ModelRepository
from tests.policyd_server.process import Publish, ServerProcess, StartServer
from tests.waiting import until

VERSIONS = 5
SWAPS = 50
X = np.random.default_rng(5).normal(size=(16, 4)).astype(np.float32)


def _wait_for_version(server: ServerProcess, version: int) -> pb.Alias:
    def alias() -> pb.Alias:
        return server.policy.GetPolicy(pb.GetPolicyRequest(), timeout=60).policy.aliases[0]

    until(lambda: alias().version == version, alias)
    return alias()


def test_every_answer_during_fifty_swaps_is_of_the_version_that_it_names(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """Four clients call Act all the time during 50 promotions.

    Each response has exactly its version's probabilities.
    """
    digests, expected = [""], [np.zeros((16, 2), np.float32)]
    for _ in range(VERSIONS):
        published = publish()
        digests.append(published.digest)
        session = ort.InferenceSession(repository.read_published(published, "model.onnx"))
        expected.append(session.run(["action_probs"], {"observations": X})[0])
    server = start_server()
    over = threading.Event()

    def hammer(first_row: int) -> set[int]:
        """Acts until the swaps are over. Returns the versions that responded."""
        seen = set()
        with grpc.insecure_channel(server.address) as channel:
            stub = policy_pb2_grpc.PolicyServiceStub(channel)
            request = pb.ActRequest(observations=pb.FloatArray(raw=X.tobytes()), seed=first_row)
            while not over.is_set():
                answer = stub.Act(request, timeout=60)
                probs = np.frombuffer(answer.action_probs.raw, np.float32).reshape(16, 2)
                np.testing.assert_array_equal(probs, expected[answer.version])
                assert answer.digest == digests[answer.version]
                seen.add(answer.version)
        return seen

    with ThreadPoolExecutor(4) as pool:
        hammering = [pool.submit(hammer, seed) for seed in range(4)]
        try:
            for swap in range(SWAPS):
                server.policy.SetAlias(pb.SetAliasRequest(version=swap % VERSIONS + 1), timeout=60)
        finally:
            over.set()
        assert set().union(*(future.result(60) for future in hammering)) == set(range(1, VERSIONS + 1))


def test_the_server_follows_the_repository(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """A promotion by another process is served after the polling interval.

    It needs no call to this server.
    """
    publish()
    server = start_server("--poll-interval", "0.05")
    publish(promote=True)
    request = pb.ActRequest(observations=pb.FloatArray(raw=X.tobytes()))
    until(lambda: server.policy.Act(request, timeout=60).version != 1)
    assert server.policy.Act(request, timeout=60).version == 2


def test_a_bad_version_leaves_the_last_good_one(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """A promoted file is damaged.

    The old version still responds, and GetPolicy, health and log report the damage.
    """
    publish()
    bad = publish(promote=False)
    model = repository.root / bad.path / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(b"not a model")
    server = start_server("--poll-interval", "0.05")
    health = health_pb2_grpc.HealthStub(server.channel)
    watched = health.Watch(
        health_pb2.HealthCheckRequest(service="policy_api.v1.PolicyService/cartpole"), timeout=60
    )
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    repository.set_alias("cartpole", "champion", 2, actor="", reason="")
    assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
    alias = _wait_for_version(server, 2)
    assert alias.serving_version == 1
    assert (
        server.policy.Act(pb.ActRequest(observations=pb.FloatArray(raw=X.tobytes())), timeout=60).version == 1
    )
    assert health.Check(health_pb2.HealthCheckRequest(), timeout=60).status == 1
    assert "version 1 goes on" in server.log
    repository.rollback_alias("cartpole", "champion", actor="", reason="")
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()
