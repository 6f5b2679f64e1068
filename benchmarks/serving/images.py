"""The image policy: 84x84x4 pixels through the trainer's convolutions, served and in process.

One client sends uint8 frames and waits for each answer. The same rows go through ONNX Runtime in
this process, with one thread, in the same round.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format
from onnx import helper

from benchmarks.serving import h2load
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import ACT, InvalidAnswer
from benchmarks.serving.results import ImageMeasurement
from policy_api.v1 import artifact_pb2
from policy_api.v1.policy_pb2 import ActRequest, ActResponse
from policyd.repository import ModelRepository
from policyd.tensors import OBSERVATIONS, PROBS, VALUE
from policyd_trainer.export.network import network_nodes
from policyd_trainer.export.nodes import GraphWriter
from policyd_trainer.networks.layout import RowLayout, Segment
from policyd_trainer.networks.mlp import MlpSpec
from policyd_trainer.networks.spec import NetworkSpec, flattened

POLICY = "bench-image"
SHAPE = (84, 84, 4)
ACTIONS = 6
BATCHES = (1, 32)
TOLERANCE = 1e-4


def part(batch: int) -> str:
    """The name of this part of a run."""
    return f"image policy, b{batch}"


def publish(models: ModelRepository) -> bytes:
    """Publishes the policy and returns its model."""
    metadata = described()
    model = made(metadata)
    models.publish(POLICY, {"model.onnx": model}, metadata=metadata)
    models.set_alias(POLICY, "champion", 1, actor="benchmark", reason="first version")
    return model


def frames(batch: int) -> np.ndarray:
    """The rows [batch, 84, 84, 4] uint8 that every request of this batch size sends."""
    return np.random.default_rng(batch).integers(0, 256, (batch, *SHAPE), np.uint8)


def measure(
    name: str, running: Running, session: Any, batch: int, number: int, seconds: float
) -> ImageMeasurement:
    """Measures one round. Raises InvalidAnswer if the probabilities are not those of the model."""
    request = ActRequest(
        policy=POLICY, typed_observations=frames(batch).tobytes(), seed=7
    ).SerializeToString()
    size = _checked(running, session, request, batch)
    load = h2load.run(running.url, ACT.method, request, connections=1, seconds=seconds, answer_bytes=size)
    return ImageMeasurement(
        name, batch, number, load.percentile(50), _in_process(session, batch, seconds) * 1e3
    )


def _in_process(session: Any, batch: int, seconds: float) -> float:
    """Median seconds from uint8 pixels to probabilities and values, without a server."""
    pixels = frames(batch)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end or not times:
        session.run([PROBS, VALUE], {OBSERVATIONS: pixels.astype(np.float32)})
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _checked(running: Running, session: Any, request: bytes, batch: int) -> int:
    """The size in bytes of a response that was compared with the model's own outputs."""
    with grpc.insecure_channel(running.address) as channel:
        call: Any = channel.unary_unary(ACT.method)
        answer: bytes = call(request, timeout=30)
    wanted = session.run([PROBS], {OBSERVATIONS: frames(batch).astype(np.float32)})[0]
    found = np.frombuffer(ActResponse.FromString(answer).action_probs.raw, "<f4").reshape(batch, -1)
    if found.shape != wanted.shape or np.abs(found - wanted).max() > TOLERANCE:
        raise InvalidAnswer("the probabilities are not those of the image policy")
    return len(answer)


def made(metadata: artifact_pb2.PolicyMetadata, seed: int = 0) -> bytes:
    """The model: random weights in the graph that the trainer exports for images."""
    rows = RowLayout((Segment("image", int(np.prod(SHAPE)), image=SHAPE, divisor=255.0),))
    spec = NetworkSpec(rows, MlpSpec(flattened(rows), (512,), ACTIONS + 1, "relu"))
    weights = np.random.default_rng(seed).normal(0, 0.02, spec.size).astype(np.float32)
    graph = GraphWriter()
    pixels = graph.add("Flatten", OBSERVATIONS, axis=1)
    outputs = network_nodes(graph, spec, weights, pixels).body
    logits, value = graph.split(outputs, [ACTIONS, 1])
    graph.add("Identity", logits, name="action_logits")
    graph.add("Softmax", logits, name=PROBS, axis=-1)
    graph.add("Squeeze", value, graph.constant(np.array([1])), name=VALUE)
    model = graph.model({OBSERVATIONS: SHAPE}, {"action_logits": (ACTIONS,), PROBS: (ACTIONS,), VALUE: ()})
    helper.set_model_props(model, {"policy_metadata": json_format.MessageToJson(metadata)})
    data: bytes = model.SerializeToString()
    return data


def described() -> artifact_pb2.PolicyMetadata:
    """The model's metadata."""
    box = artifact_pb2.BoxSpace(shape=SHAPE, dtype="uint8", low=[0.0], high=[255.0])
    return artifact_pb2.PolicyMetadata(
        format=1,
        policy=POLICY,
        observation_space=artifact_pb2.Space(box=box),
        action_space=artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=ACTIONS)),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=ACTIONS)),
        algorithm="a2c",
        env_id="BenchmarkImage-v0",
        has_value=True,
    )
