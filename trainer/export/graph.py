"""The policy as one torch module, and that module as ONNX. No sampling in the graph."""

from __future__ import annotations

import itertools
import logging
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from policy_api.tensors import VALUE
from trainer.algorithms.build import NetworkSpecs
from trainer.estimators.normalization import ObservationScaling
from trainer.evaluation.selection import Snapshot
from trainer.export.heads import head_for
from trainer.networks.autograd import load_flat
from trainer.networks.modules import NetworkModule
from trainer.spaces.actions import ActionCodec

METADATA_KEY = "policy_metadata"


class PolicyGraph(nn.Module):
    """Observations [B, *shape] -> what determines the distribution, and value [B] with a critic."""

    def __init__(self, specs: NetworkSpecs, snapshot: Snapshot, codec: ActionCodec) -> None:
        super().__init__()
        self.actor = NetworkModule(specs.actor.without_mask())
        load_flat(self.actor, snapshot.actor)
        self.critic = None
        if specs.critic is not None and snapshot.critic is not None:
            self.critic = NetworkModule(specs.critic.without_mask())
            load_flat(self.critic, snapshot.critic)
        self.head = head_for(codec)
        self.scaling = None
        if snapshot.scaling is not None:
            self.scaling = Scaling(snapshot.scaling, self.actor.spec.inputs)

    def forward(self, observations: Tensor) -> tuple[Tensor, ...]:
        """The head's outputs, then the value."""
        rows = observations.flatten(1)  # [B, D]
        if self.scaling is not None:
            rows = self.scaling(rows)
        outputs: tuple[Tensor, ...] = self.head(self.actor(rows))
        return outputs if self.critic is None else (*outputs, self.critic(rows).squeeze(-1))

    @property
    def output_names(self) -> list[str]:
        """Of the graph's outputs, in order."""
        return [*self.head.names, *([] if self.critic is None else [VALUE])]


class Scaling(nn.Module):
    """The running normalisation of rows, frozen, without the columns of an action mask."""

    def __init__(self, scaling: ObservationScaling, columns: int) -> None:
        super().__init__()
        self.mean = torch.from_numpy(scaling.mean[:columns])
        self.inverse_std = torch.from_numpy(scaling.inverse_std[:columns])
        limit = np.broadcast_to(np.float32(scaling.limit), scaling.mean.shape)[:columns]
        self.limit = torch.from_numpy(limit.copy())

    def forward(self, rows: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        scaled = (rows - self.mean) * self.inverse_std
        return torch.minimum(torch.maximum(scaled, -self.limit), self.limit)


def to_onnx(graph: PolicyGraph, observation_shape: tuple[int, ...]) -> onnx.ModelProto:
    """The graph with a free batch dimension, checked by onnx.checker, without the exporter's notes."""
    example = torch.zeros((2, *observation_shape))
    for talkative in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            input_names=["observations"],
            output_names=graph.output_names,
            dynamic_shapes={"observations": {0: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "dynamo answers a program"
    model = program.model_proto
    _forget_exporter(model)
    _name_batch(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def run_torch(graph: PolicyGraph, observations: np.ndarray) -> list[np.ndarray]:
    """The graph's outputs for observations [B, *shape], by torch."""
    with torch.inference_mode():
        return [output.numpy() for output in graph(torch.from_numpy(observations))]


def _forget_exporter(model: onnx.ModelProto) -> None:
    """Drops stack traces and other notes: they hold paths of the machine that trained."""
    graph = model.graph
    groups = ([model], [graph], graph.node, graph.input, graph.output, graph.initializer, graph.value_info)
    part: Any  # each has notes, but no base class says so
    for part in itertools.chain.from_iterable(groups):
        del part.metadata_props[:]


def _name_batch(model: onnx.ModelProto) -> None:
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
