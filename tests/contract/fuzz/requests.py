"""Good requests of every kind, from which the fuzzer starts."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from tritonclient.grpc import service_pb2 as oip

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import training_pb2


def valid_requests(policy: str, elements: int) -> Sequence[Message]:
    """Requests that a server with `policy` answers, where observations have `numbers` numbers."""
    act = pb.ActRequest(policy=policy, observations=pb.FloatArray(raw=bytes(4 * elements)), seed=1)
    in_numbers = pb.ActRequest(
        observations=pb.FloatArray(values=[0.5] * elements),
        action_mask=pb.BoolArray(values=[True, True]),
        temperature=2.0,
    )
    spec = training_pb2.TrainingSpec(
        policy=policy,
        env_id="CartPole-v1",
        algorithm="a2c",
        settings={"total_timesteps": "1000"},
        promotion=training_pb2.Promotion(promote=True, min_return=1.0),
    )
    limits = training_pb2.JobLimits(time_limit=Duration(seconds=60), env_steps=1000)
    return [
        act,
        in_numbers,
        *(pb.StreamActRequest(request=each, pin_version=True) for each in (act, in_numbers)),
        pb.GetPolicyRequest(policy=policy),
        pb.SetAliasRequest(policy=policy, alias="champion", version=1, actor="fuzzer", reason="why not"),
        pb.RollbackAliasRequest(policy=policy, alias="champion", actor="fuzzer", expected_generation=1),
        training_pb2.CreateTrainingJobRequest(spec=spec, request_id="r", priority=1, limits=limits),
        training_pb2.ListTrainingJobsRequest(policy=policy, page_size=10),
        health_pb2.HealthCheckRequest(service="policy_api.v1.PolicyService"),
        reflection_pb2.ServerReflectionRequest(list_services=""),
        _infer(policy, elements, raw=True),
        _infer(policy, elements, raw=False),
        oip.ModelMetadataRequest(name=policy, version="1"),
        oip.ModelReadyRequest(name=policy, version="1"),
        oip.ModelConfigRequest(name=policy, version="1"),
        oip.ModelStatisticsRequest(name=policy, version="1"),
        oip.RepositoryModelLoadRequest(model_name=policy),
        oip.RepositoryModelUnloadRequest(model_name=policy),
    ]


def _infer(policy: str, elements: int, *, raw: bool) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=policy, model_version="1", id="7")
    given = request.inputs.add(name="observations", datatype="FP32", shape=[1, elements])
    if raw:
        request.raw_input_contents.append(bytes(4 * elements))
    else:
        given.contents.fp32_contents.extend([0.5] * elements)
    request.parameters["seed"].string_param = "18446744073709551615"
    request.parameters["temperature"].double_param = 2.0
    request.outputs.add(name="actions")
    return request
