"""Models that other programs exported become artifacts that this server can answer with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from google.protobuf import json_format
from onnx import TensorProto, helper
from torch import nn

from policy_api.v1.policy_pb2 import VersionContents
from policyd.cli.onnx_models.prepare import prepared
from policyd.errors import CorruptArtifact, InvalidArgument
from policyd_server.models.version import check_model
from tests.policyd_server import artifacts

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters warn about themselves

Export = Callable[..., Path]


class ActorCritic(nn.Module):
    """The structure of stable-baselines3's ActorCriticPolicy: two towers, action net, value net."""

    def __init__(self, observations: int, actions: int) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(observations, 16), nn.Tanh(), nn.Linear(16, actions))
        self.critic = nn.Sequential(nn.Linear(observations, 16), nn.Tanh(), nn.Linear(16, 1))


class Sb3Discrete(ActorCritic):
    """The module that stable-baselines3's guide exports.

    `policy(observation, deterministic=True)` returns actions, values and log_prob.
    """

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The most probable action. The distribution is only inside the graph."""
        logits = self.actor(observation.float().flatten(1))
        logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        probs = torch.softmax(logits, dim=-1)
        actions = torch.argmax(probs, dim=1)
        log_prob = logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        return actions, self.critic(observation.float().flatten(1)), log_prob


class Sb3Box(ActorCritic):
    """The same with continuous actions: the mean, the value, and the density at the mean."""

    def __init__(self, observations: int, actions: int) -> None:
        super().__init__(observations, actions)
        self.log_std = nn.Parameter(torch.zeros(actions))

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The mean action."""
        mean = self.actor(observation)
        std = torch.ones_like(mean) * self.log_std.exp()
        density = torch.distributions.Normal(mean, std, validate_args=False)
        return mean, self.critic(observation), density.log_prob(mean).sum(dim=1)


@pytest.fixture(params=["dynamo", "script"])
def export(request: pytest.FixtureRequest, tmp_path: Path) -> Export:
    """Exports like users: with torch's current exporter, and with the older one."""

    def export(module: nn.Module, *shape: int, dtype: torch.dtype = torch.float32) -> Path:
        path = tmp_path / "foreign.onnx"
        example = torch.zeros((2, *shape), dtype=dtype)
        options: dict[str, Any] = {"input_names": ["input"], "opset_version": 18}
        if request.param == "dynamo":
            options |= {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},)}
        else:
            named = [f"o{i}" for i in range(5)]
            options |= {"dynamo": False, "dynamic_axes": {name: {0: "batch"} for name in ["input", *named]}}
            options["output_names"] = named[: 3 if isinstance(module, ActorCritic) else 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module.eval(), (example,), path, **options)
        return path

    return export


def _run(contents: VersionContents, folder: Path, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Checks the artifact like the server, and returns its outputs."""
    model = (folder / "model.onnx").read_bytes()
    check_model(contents.metadata, model)
    session = ort.InferenceSession(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"observations": observations}), strict=True))


def _prepared(source: Path, tmp_path: Path, env_id: str, **outputs: str) -> tuple[VersionContents, Path]:
    (folder := tmp_path / "out").mkdir()
    return prepared(source, folder, policy="p", env_id=env_id, outputs=outputs), folder


def test_the_export_of_stable_baselines3(export: Export, tmp_path: Path) -> None:
    """The graph returns only the best action. The probabilities inside it are found."""
    module = Sb3Discrete(4, 2)
    contents, folder = _prepared(export(module, 4), tmp_path, "CartPole-v1")
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    answer = _run(contents, folder, x)
    with torch.no_grad():
        probs = torch.softmax(module.actor(torch.from_numpy(x)), -1).numpy()
        values = module.critic(torch.from_numpy(x)).numpy()[:, 0]
    np.testing.assert_allclose(answer["action_probs"], probs, atol=1e-5)
    np.testing.assert_allclose(answer["value"], values, atol=1e-5)
    assert contents.metadata.has_value
    assert (contents.metadata.env_id, contents.metadata.algorithm) == ("CartPole-v1", "imported")


def test_continuous_actions_of_stable_baselines3(export: Export, tmp_path: Path) -> None:
    """The mean is served with a deviation near 0, because the graph has no deviation."""
    module = Sb3Box(3, 1)
    contents, folder = _prepared(export(module, 3), tmp_path, "Pendulum-v1")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    answer = _run(contents, folder, x)
    with torch.no_grad():
        np.testing.assert_allclose(answer["action_mean"], module.actor(torch.from_numpy(x)), atol=1e-5)
    assert answer["action_std"].shape == (5, 1)
    assert 0 < answer["action_std"].max() < 1e-5


@pytest.mark.parametrize("last", [nn.Identity(), nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1)], ids=str)
def test_a_torch_module_of_ones_own(export: Export, tmp_path: Path, last: nn.Module) -> None:
    """A single output of the right width is taken as logits, or as the result of a softmax."""
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    contents, folder = _prepared(export(nn.Sequential(layers, last), 4), tmp_path, "CartPole-v1")
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    answer = _run(contents, folder, x)
    with torch.no_grad():
        probs = torch.softmax(layers(torch.from_numpy(x)), -1).numpy()
    np.testing.assert_allclose(answer["action_probs"], probs, atol=1e-5)
    assert not contents.metadata.has_value


def _graph(path: Path, inputs: dict[str, int], outputs: dict[str, int], *nodes: Any) -> Path:
    """A graph of these nodes. Inputs and outputs are given by name, with their numbers per row."""

    def values(entries: dict[str, int]) -> list[Any]:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", k]) for n, k in entries.items()]

    graph = helper.make_graph(list(nodes), "g", values(inputs), values(outputs))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_what_is_not_clear_is_asked(tmp_path: Path) -> None:
    """With two outputs of the same width, the message shows both. Naming one decides."""
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value_ints=[k])
            for name, k in (("a", 0), ("b", 2), ("c", 1))
        ),
        helper.make_node("Slice", ["x", "a", "b", "c"], ["left"]),
        helper.make_node("Neg", ["left"], ["right"]),
    ]
    path = _graph(tmp_path / "m.onnx", {"x": 4}, {"left": 2, "right": 2}, *nodes)
    for outputs, said in (
        ({}, r"left \[2\], right \[2\].*--output action_logits=NAME"),
        ({"action_logits": "nothing"}, "--output"),
        ({"logits": "left"}, "one of action_logits"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            prepared(path, tmp_path, policy="p", env_id="CartPole-v1", outputs=outputs)
    contents, folder = _prepared(path, tmp_path, "CartPole-v1", action_logits="right")
    answer = _run(contents, folder, np.ones((1, 4), np.float32))
    np.testing.assert_allclose(answer["action_logits"], [[-1, -1]])


def test_what_does_not_fit_the_environment_is_refused(tmp_path: Path) -> None:
    """Other observations or actions, two inputs, no environment and no model are refused.

    Each error says what was expected.
    """
    wide = _graph(tmp_path / "w.onnx", {"x": 5}, {"y": 5}, helper.make_node("Neg", ["x"], ["y"]))
    narrow = _graph(tmp_path / "n.onnx", {"x": 2}, {"y": 2}, helper.make_node("Neg", ["x"], ["y"]))
    add = helper.make_node("Add", ["x", "z"], ["y"])
    two = _graph(tmp_path / "two.onnx", {"x": 2, "z": 2}, {"y": 2}, add)
    (tmp_path / "text.onnx").write_text("no model")
    for path, env_id, said in (
        (wide, "CartPole-v1", "2 numbers for each observation"),
        (narrow, "CartPole-v1", r"\[4\], as the environment has it"),
        (two, "CartPole-v1", "one, the observations"),
        (narrow, None, "--env"),
        (narrow, "NoSuch-v0", "env"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            prepared(path, tmp_path, policy="p", env_id=env_id, outputs={})
    with pytest.raises(CorruptArtifact, match="not a readable ONNX model"):
        prepared(tmp_path / "text.onnx", tmp_path, policy="p", env_id="CartPole-v1", outputs={})


def test_one_of_our_own_keeps_its_metadata(tmp_path: Path) -> None:
    """An artifact that this project exported needs no environment."""
    described = artifacts.metadata("cartpole")
    model = onnx.load_from_string(artifacts.model(described, seed=1))
    text = json_format.MessageToJson(described, preserving_proto_field_name=True)
    del model.metadata_props[:]
    model.metadata_props.add(key="policy_metadata", value=text)
    onnx.save(model, tmp_path / "own.onnx")
    (folder := tmp_path / "out").mkdir()
    contents = prepared(tmp_path / "own.onnx", folder, policy="other", env_id=None, outputs={})
    assert contents.metadata.policy == "other"
    assert _run(contents, folder, np.zeros((1, 4), np.float32))["action_probs"].shape == (1, 2)
