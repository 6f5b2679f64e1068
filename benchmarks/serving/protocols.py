"""How each contestant is asked, and what counts as a valid answer of it.

h2load sends one fixed frame again and again and cannot read answers, and a gRPC error is an
HTTP 200 too. So an answer is decoded and compared once, and afterwards every answer must have
exactly as many bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tritonclient.grpc import service_pb2

from benchmarks.serving.policy import ACTIONS, POLICY, observations
from policy_api.v1 import policy_pb2

TOLERANCE = 1e-4


class InvalidAnswer(Exception):
    """A contestant sent a response that is not what the policy computes."""


@dataclass(frozen=True)
class Protocol:
    """How to call a contestant and check its responses.

    A unary method, a bidirectional method or None, the bytes of a request, and the check.
    """

    method: str
    request: Callable[[int], bytes]
    check: Callable[[bytes, np.ndarray], None]  # (response, expected action_probs [batch, 4])
    stream_method: str | None = None
    stream_request: Callable[[int], bytes] | None = None


def _act_request(batch: int) -> policy_pb2.ActRequest:
    raw = policy_pb2.FloatArray(raw=observations(batch).tobytes())
    return policy_pb2.ActRequest(policy=POLICY, observations=raw, seed=7)


def _act_check(answer: bytes, expected: np.ndarray) -> None:
    response = policy_pb2.ActResponse.FromString(answer)
    actions = np.frombuffer(response.actions.raw, "<i8")
    if response.batch_size != len(expected) or actions.shape != (len(expected),):
        raise InvalidAnswer(f"{response.batch_size} rows, wanted {len(expected)}")
    if ((actions < 0) | (actions >= ACTIONS)).any():
        raise InvalidAnswer("an action is out of range")
    _compare(response.action_probs.raw, expected)


def _infer_request(batch: int) -> bytes:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="observations", datatype="FP32", shape=[batch, observations(1).shape[1]]
    )
    request = service_pb2.ModelInferRequest(model_name=POLICY, inputs=[tensor])
    request.raw_input_contents.append(observations(batch).tobytes())
    data: bytes = request.SerializeToString()
    return data


def _infer_check(answer: bytes, expected: np.ndarray) -> None:
    response = service_pb2.ModelInferResponse.FromString(answer)
    for index, output in enumerate(response.outputs):
        if output.name == "action_probs":
            if response.raw_output_contents:
                return _compare(response.raw_output_contents[index], expected)
            return _compare(np.array(output.contents.fp32_contents, np.float32).tobytes(), expected)
    raise InvalidAnswer("the answer has no action_probs")


def _compare(raw: bytes, expected: np.ndarray) -> None:
    found = np.frombuffer(raw, "<f4")
    if found.size != expected.size or np.abs(found.reshape(expected.shape) - expected).max() > TOLERANCE:
        raise InvalidAnswer("the probabilities are not those of the policy")


def _echo_check(answer: bytes, expected: np.ndarray) -> None:
    if answer != _act_request(len(expected)).SerializeToString():
        raise InvalidAnswer("the echo changed the bytes")


ACT = Protocol(
    "/policy_api.v1.PolicyService/Act",
    lambda batch: _act_request(batch).SerializeToString(),
    _act_check,
    "/policy_api.v1.PolicyService/StreamAct",
    lambda batch: policy_pb2.StreamActRequest(request=_act_request(batch)).SerializeToString(),
)
INFER = Protocol(
    "/inference.GRPCInferenceService/ModelInfer",
    _infer_request,
    _infer_check,
    "/inference.GRPCInferenceService/ModelStreamInfer",
    _infer_request,
)
ECHO = Protocol(
    "/benchmark.Echo/Say",
    lambda batch: _act_request(batch).SerializeToString(),
    _echo_check,
    "/benchmark.Echo/Chat",
    lambda batch: _act_request(batch).SerializeToString(),
)
