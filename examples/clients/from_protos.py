r"""A client written from proto/policy_api/v1/*.proto alone: generated stubs and plain bytes.

    python -m grpc_tools.protoc -Iproto --python_out=STUBS --grpc_python_out=STUBS \
        proto/policy_api/v1/*.proto
    PYTHONPATH=STUBS python examples/clients/from_protos.py 127.0.0.1:50051 cartpole 0 0.1 0 -0.1

The same steps work in every language that gRPC has a generator for.
"""

from __future__ import annotations

import json
import struct
import sys

import grpc

from policy_api.v1 import policy_pb2, policy_pb2_grpc


def act(address: str, policy: str, observation: list[float]) -> dict[str, object]:
    """Returns one action for one observation, sampled with seed 7."""
    request = policy_pb2.ActRequest(policy=policy, seed=7)
    request.observations.raw = struct.pack(f"<{len(observation)}f", *observation)
    with grpc.insecure_channel(address) as channel:
        answer = policy_pb2_grpc.PolicyServiceStub(channel).Act(request, timeout=5)
    (action,) = struct.unpack("<q", answer.actions.raw)
    probabilities = struct.unpack(f"<{len(answer.action_probs.raw) // 4}f", answer.action_probs.raw)
    return {"action": action, "action_probs": probabilities, "version": answer.version}


if __name__ == "__main__":
    try:
        numbers = [float(number) for number in sys.argv[3:]]
        print(json.dumps(act(sys.argv[1], sys.argv[2], numbers)))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
