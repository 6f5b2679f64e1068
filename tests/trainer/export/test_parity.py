"""The exported file computes what torch and the trainer compute, or is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from trainer.algorithms.build import initial_parameters, network_specs
from trainer.config import TrainingConfig, resolve_config
from trainer.environments.make import inspect
from trainer.estimators.normalization import RunningMoments
from trainer.evaluation.selection import Snapshot
from trainer.export.graph import PolicyGraph, run_torch, to_onnx
from trainer.export.parity import ParityFailed, certify, largest_difference, runner
from trainer.export.weights import dump_weights, load_weights


def configuration(algorithm: str = "a2c", **settings: str) -> TrainingConfig:
    return resolve_config("p", "LunarLander-v3", algorithm, 0, {"preset": "course", **settings})


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("algorithm", ["reinforce", "a2c"])
def test_one_function_three_ways(algorithm: str, normalized: bool) -> None:
    """Numpy acting, torch and ONNX Runtime agree, normalisation inside the graph, at any batch size."""
    config = configuration(algorithm, activation="tanh" if normalized else "relu")
    info = inspect(config)
    specs = network_specs(config, info.encoder.size, info.codec.distribution)
    weights, rng = initial_parameters(config, specs), np.random.default_rng(0)
    moments = RunningMoments.zeros((8,)) if normalized else None
    if moments is not None:
        moments.update(rng.normal(3.0, 5.0, (100, 8)))
    snapshot = Snapshot(0, weights.actor, weights.critic, moments)
    graph = PolicyGraph(specs, snapshot, info.codec)
    model = to_onnx(graph, info.encoder.shape).SerializeToString()
    for batch in (1, 7):
        observations = rng.normal(3.0, 5.0, (batch, 8)).astype(np.float32)
        outputs = runner(model)(observations)
        assert len(outputs) == (3 if algorithm == "a2c" else 2)
        assert largest_difference(run_torch(graph, observations), outputs) <= 1e-5
        policy = snapshot.policy(specs, info.codec.distribution)
        np.testing.assert_array_equal(policy.mode(observations), outputs[0].argmax(axis=-1))
        np.testing.assert_allclose(outputs[1].sum(axis=-1), 1.0, rtol=1e-5)
    loaded = onnx.load_from_string(model)
    assert b"/site-packages/" not in model  # nothing of the machine that trained
    assert loaded.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_difference_is_refused() -> None:
    """Above 1e-5, relative to numbers above 1, there is no certificate; nor for NaN or another shape."""
    expected = [np.array([[0.5, 200.0]], np.float32)]
    difference = largest_difference(expected, expected)
    assert certify(difference, random=1, visited=0).max_abs_difference == difference == 0
    assert largest_difference(expected, [np.array([[0.5, 200.001]])]) < 1e-5
    for wrong in ([[0.50002, 200.0]], [[0.5, 200.01]], [[np.nan, 200.0]], [[0.5]]):
        with pytest.raises(ParityFailed):
            certify(largest_difference(expected, [np.array(wrong)]), random=1, visited=0)


def test_weights_round_trip() -> None:
    """What is dumped is loaded again, with and without a critic."""
    config = configuration()
    info = inspect(config)
    weights = initial_parameters(config, network_specs(config, info.encoder.size, info.codec.distribution))
    loaded = load_weights(dump_weights(weights))
    np.testing.assert_array_equal(loaded.actor, weights.actor)
    assert weights.critic is not None
    assert loaded.critic is not None
    np.testing.assert_array_equal(loaded.critic, weights.critic)
