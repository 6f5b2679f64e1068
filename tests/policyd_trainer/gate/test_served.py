"""Published models act in a run's environments as servers act with them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from policy_api.v1.artifact_pb2 import CategoricalDistribution, Distribution, GaussianDistribution
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import EnvironmentInfo, inspect
from policyd_trainer.gate.served import NotComparable, served_policy
from tests.policyd_trainer.gate.linear import linear_policy

TANH, CLIP = GaussianDistribution.TANH, GaussianDistribution.CLIP


def _pendulum(squash: str) -> EnvironmentInfo:
    return inspect(resolve_config("p", "Pendulum-v1", "a2c", 0, {"squash": squash, "use_sde": "false"}))


def _constant(mean: float, std: float) -> bytes:
    """A model that gives Pendulum's observations always the same moments."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["observations", "zeros"], ["nothing"]),
            helper.make_node("Add", ["nothing", "mean"], ["action_mean"]),
            helper.make_node("Add", ["nothing", "std"], ["action_std"]),
        ],
        "constant",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1])
            for name in ("action_mean", "action_std")
        ],
        [
            onnx.numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("zeros", [[0.0]] * 3), ("mean", [mean]), ("std", [std]))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("squash", ["clip", "tanh"])
@pytest.mark.parametrize(("of_model", "expected"), [(CLIP, 0.5), (TANH, 2 * np.tanh(0.5))])
def test_continuous_actions_keep_their_meaning(
    squash: str, of_model: GaussianDistribution.Squash.ValueType, expected: float
) -> None:
    """A mean of 0.5 is a torque of 0.5, or of 2 tanh(0.5).

    That does not depend on how the run's own policy stores actions.
    """
    info = _pendulum(squash)
    described = Distribution(gaussian=GaussianDistribution(size=1, squash=of_model))
    policy = served_policy(_constant(0.5, 0.25), described, info)
    rows = np.zeros((3, info.encoder.size), np.float32)
    torques = info.codec.to_environment(policy.mode(rows))
    assert torques.ravel() == pytest.approx([expected] * 3, abs=1e-5)
    noise = np.array([[-1.0], [0.0], [1.0]], np.float32)
    sampled = info.codec.to_environment(policy.sample(rows, noise)).ravel()
    u = 0.5 + 0.25 * noise.ravel()
    assert sampled == pytest.approx(u if of_model == CLIP else 2 * np.tanh(u), abs=1e-5)


def test_masked_actions_are_not_taken() -> None:
    """If the environment has masks, neither the mode nor a sample is a masked action."""
    info = inspect(resolve_config("p", "CartPole-v1", "a2c", 0, {}))
    masked = EnvironmentInfo(**{**vars(info), "encoder": type(info.encoder)(info.encoder.described, 2)})
    described = Distribution(categorical=CategoricalDistribution(n=2))
    policy = served_policy(linear_policy([10.0] * 4), described, masked)
    rows = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]], np.float32)
    assert policy.mode(rows).tolist() == [0, 1]
    assert policy.sample(rows, np.array([0.999, 0.999])).tolist() == [0, 1]


def test_other_kinds_of_actions_are_not_compared() -> None:
    """A policy for continuous actions is refused where actions are discrete."""
    info = inspect(resolve_config("p", "CartPole-v1", "a2c", 0, {}))
    for described in (
        Distribution(gaussian=GaussianDistribution(size=2)),
        Distribution(categorical=CategoricalDistribution(n=3)),
    ):
        with pytest.raises(NotComparable, match="another space"):
            served_policy(linear_policy([1.0] * 4), described, info)
