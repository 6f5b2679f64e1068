"""A policy as one ONNX graph, written directly: a few dozen nodes need no exporter.

It never samples.
"""

from __future__ import annotations

import numpy as np
import onnx

from policyd.tensors import OBSERVATIONS, VALUE, distribution_tensors
from policyd_trainer.algorithms.build import NetworkSpecs
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.evaluation.selection import Snapshot
from policyd_trainer.export.heads import head_for
from policyd_trainer.export.network import network_nodes
from policyd_trainer.export.nodes import GraphWriter
from policyd_trainer.networks.host import host_outputs
from policyd_trainer.spaces.actions import ActionCodec

METADATA_KEY = "policy_metadata"


def policy_model(
    specs: NetworkSpecs, snapshot: Snapshot, codec: ActionCodec, observation_shape: tuple[int, ...]
) -> onnx.ModelProto:
    """The checked ONNX model of a policy.

    It maps observations [B, *shape] to the tensors that determine the distribution, and to the
    value [B] if there is a critic.
    """
    graph = GraphWriter()
    rows = OBSERVATIONS  # [B, D]
    if len(observation_shape) != 1:
        rows = graph.add("Flatten", rows, axis=1)
    actor = specs.actor.without_mask()
    if snapshot.scaling is not None:
        rows = _scaled(graph, snapshot.scaling, actor.inputs, rows)
    head_for(codec).nodes(graph, network_nodes(graph, actor, snapshot.actor, rows))
    outputs = distribution_tensors(codec.describe_distribution())
    if specs.critic is not None and snapshot.critic is not None:
        critic = network_nodes(graph, specs.critic.without_mask(), snapshot.critic, rows)
        graph.add("Squeeze", critic.body, graph.constant(np.array([1])), name=VALUE)
        outputs[VALUE] = ()
    return graph.model({OBSERVATIONS: observation_shape}, outputs)


def expected_outputs(
    specs: NetworkSpecs, snapshot: Snapshot, codec: ActionCodec, observations: np.ndarray
) -> list[np.ndarray]:
    """What the trainer itself computes for observations [B, *shape], for the parity check.

    The numbers come from numpy, for images from torch.
    """
    rows, actor = observations.reshape(len(observations), -1), specs.actor.without_mask()
    if snapshot.scaling is not None:
        rows = _first_columns(snapshot.scaling, actor.inputs)(rows)
    outputs = head_for(codec).numbers(host_outputs(actor, snapshot.actor)(rows))
    if specs.critic is not None and snapshot.critic is not None:
        outputs.append(host_outputs(specs.critic.without_mask(), snapshot.critic)(rows)[:, 0])
    return outputs


def _scaled(graph: GraphWriter, scaling: ObservationScaling, columns: int, rows: str) -> str:
    """Adds nodes that normalise rows with the moments of the export."""
    frozen = _first_columns(scaling, columns)
    centred = graph.add("Sub", rows, graph.constant(frozen.mean))
    scaled = graph.add("Mul", centred, graph.constant(frozen.inverse_std))
    if isinstance(frozen.limit, float):
        return graph.add("Clip", scaled, graph.number(-frozen.limit), graph.number(frozen.limit))
    above = graph.add("Max", scaled, graph.constant(-frozen.limit))
    return graph.add("Min", above, graph.constant(frozen.limit))


def _first_columns(scaling: ObservationScaling, columns: int) -> ObservationScaling:
    """The scaling of the first columns, without those of an action mask."""
    limit = scaling.limit if isinstance(scaling.limit, float) else scaling.limit[:columns]
    return ObservationScaling(scaling.mean[:columns], scaling.inverse_std[:columns], limit)
