"""The exported file computes what torch and the trainer compute, or is refused."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from policyd_trainer.algorithms.build import initial_parameters, network_specs
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import EnvironmentInfo, inspect
from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.evaluation.selection import Snapshot
from policyd_trainer.export.graph import expected_outputs, policy_model
from policyd_trainer.export.network import network_nodes
from policyd_trainer.export.nodes import GraphWriter
from policyd_trainer.export.parity import ParityFailed, certify, largest_difference, runner
from policyd_trainer.export.weights import dump_weights, load_weights
from policyd_trainer.networks.layout import RowLayout, Segment
from policyd_trainer.networks.mlp import MlpSpec
from policyd_trainer.networks.modules import NetworkModule
from policyd_trainer.networks.spec import NetworkSpec, flattened
from policyd_trainer.spaces.boxes import BoxCodec
from tests.policyd_trainer import kinds
from tests.policyd_trainer.flat import load_flat

SETTINGS: dict[str, dict[str, str]] = {
    "plain": {"normalize_observations": "false"},
    "normalized": {"normalize_observations": "true", "activation": "tanh"},
}


def configuration(env_id: str = "LunarLander-v3", algorithm: str = "a2c", **settings: str) -> TrainingConfig:
    return resolve_config("p", env_id, algorithm, 0, {"preset": "course", **settings})


def of_kind(actions: str, observations: str, **settings: str) -> TrainingConfig:
    arguments = f'{{"actions": "{actions}", "observations": "{observations}", "masked": %s}}'
    masked = "true" if actions in ("discrete", "branches", "bits") else "false"
    return configuration("Kinds-v0", env_kwargs=arguments % masked, hidden_sizes="[9, 7]", **settings)


def snapshot_of(config: TrainingConfig, info: EnvironmentInfo) -> Snapshot:
    """Weights far from their initial values, and moments if configured.

    So no output is near 0.
    """
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    weights, rng = initial_parameters(config, specs), np.random.default_rng(0)
    moments = None
    if config.normalize_observations:
        moments = RunningMoments.for_rows(specs.actor.layout.groups())
        seen = info.encoder.random(rng, 100)
        moments.update(np.pad(seen, ((0, 0), (0, info.encoder.mask_width)), constant_values=1.0))
    actor = weights.actor + rng.normal(0, 0.3, weights.actor.shape).astype(np.float32)
    return Snapshot(0, actor, weights.critic, moments)


def by_torch(spec: NetworkSpec, parameters: np.ndarray, rows: np.ndarray) -> torch.Tensor:
    """The outputs of a network in torch, which shares no code with the graph."""
    module = NetworkModule(spec)
    load_flat(module, parameters)
    with torch.inference_mode():
        return torch.as_tensor(module(torch.from_numpy(rows)))


def head_by_torch(info: EnvironmentInfo, outputs: torch.Tensor) -> list[torch.Tensor]:
    """Probabilities by torch.distributions, and moments by the formulas in the docs."""
    described = info.codec.describe_distribution()
    kind = described.WhichOneof("kind")
    if kind == "gaussian":
        assert isinstance(info.codec, BoxCodec)
        mean, std = info.codec.distribution.moments(torch, outputs)
        if info.codec.options.squash == "clip":
            middle, half = torch.from_numpy(info.codec.middle), torch.from_numpy(info.codec.half)
            mean, std = middle + half * mean, half * std
        return [mean, std]
    if kind == "bernoulli":
        return [outputs, torch.distributions.Bernoulli(logits=outputs).probs]
    nvec = list(described.multi_categorical.nvec) or [outputs.shape[1]]
    branches = [torch.distributions.Categorical(logits=part).probs for part in outputs.split(nvec, dim=1)]
    return [outputs, torch.cat(branches, dim=1)]


def check_against_torch(config: TrainingConfig) -> None:
    """Checks that graph, trainer and torch agree at any batch size."""
    info = inspect(config)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    snapshot, rng = snapshot_of(config, info), np.random.default_rng(1)
    model = policy_model(specs, snapshot, info.codec, info.encoder.shape).SerializeToString()
    for batch in (1, 7):
        rows = info.encoder.random(rng, batch)
        observations = rows.reshape(batch, *info.encoder.shape)
        outputs = runner(model)(observations)
        expected = expected_outputs(specs, snapshot, info.codec, observations)
        assert largest_difference(expected, outputs) <= 1e-5
        if snapshot.scaling is not None:
            full = np.concatenate((rows, np.ones((batch, info.encoder.mask_width), np.float32)), axis=1)
            rows = snapshot.scaling(full)[:, : rows.shape[1]]
        wanted = head_by_torch(info, by_torch(specs.actor.without_mask(), snapshot.actor, rows))
        assert specs.critic is not None
        assert snapshot.critic is not None
        wanted.append(by_torch(specs.critic.without_mask(), snapshot.critic, rows)[:, 0])
        assert largest_difference([part.numpy() for part in wanted], outputs) <= 1e-5


@pytest.mark.parametrize("scaled", SETTINGS)
@pytest.mark.parametrize(
    ("actions", "observations"),
    [*product(kinds.ACTIONS, ["vector"]), *product(["discrete"], kinds.OBSERVATIONS), ("box", "mixed")],
)
def test_every_kind_of_space(actions: str, observations: str, scaled: str) -> None:
    """Every head and every kind of observation computes what torch computes, normalised or not."""
    check_against_torch(of_kind(actions, observations, **SETTINGS[scaled]))


@pytest.mark.parametrize("scaled", SETTINGS)
@pytest.mark.parametrize("squash", ["clip", "tanh"])
@pytest.mark.parametrize("use_sde", ["true", "false"])
def test_every_kind_of_gaussian(use_sde: str, squash: str, scaled: str) -> None:
    """Clipped and squashed ones agree, with state-dependent exploration or without."""
    config = of_kind("box", "vector", use_sde=use_sde, squash=squash, log_std_init="-0.7", **SETTINGS[scaled])
    check_against_torch(config)


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("image", [(84, 84, 2), (61, 40, 3), (5, 7, 1)])
def test_images_of_any_size(image: tuple[int, int, int], channels_first: bool) -> None:
    """Several convolutions and both orders of pixels agree, with other columns beside them."""
    pixels = Segment("image", math.prod(image), image=image, channels_first=channels_first, divisor=255.0)
    rows = RowLayout((Segment("numbers", 2), pixels, Segment("choice", 1, -1, 3)))
    spec = NetworkSpec(rows, MlpSpec(flattened(rows), (11,), 4, "tanh"))
    rng = np.random.default_rng(0)
    parameters = rng.normal(0, 0.05, spec.size).astype(np.float32)
    graph = GraphWriter()
    outputs = network_nodes(graph, spec, parameters, "observations")
    graph.add("Identity", outputs.body, name="outputs")
    run = runner(graph.model({"observations": (rows.size,)}, {"outputs": (4,)}).SerializeToString())
    observed = rng.integers(-1, 2, (3, rows.size)).astype(np.float32)
    observed[:, 2:-1] = rng.integers(0, 256, (3, pixels.size))
    assert largest_difference([by_torch(spec, parameters, observed).numpy()], run(observed)) <= 1e-5


def test_the_file_says_nothing_of_the_machine() -> None:
    """The batch has a name and any size. Outputs have the names that servers expect."""
    config = configuration()
    info = inspect(config)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    model = policy_model(specs, snapshot_of(config, info), info.codec, info.encoder.shape)
    assert b"site-packages" not in model.SerializeToString()
    assert [output.name for output in model.graph.output] == ["action_logits", "action_probs", "value"]
    for tensor in (*model.graph.input, *model.graph.output):
        assert tensor.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert len(model.graph.node) < 20


def test_acting_is_the_models_mode() -> None:
    """The policy in training chooses the action that the file's logits give."""
    config = configuration()
    info = inspect(config)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    snapshot = snapshot_of(config, info)
    run = runner(policy_model(specs, snapshot, info.codec, info.encoder.shape).SerializeToString())
    observations = np.random.default_rng(0).normal(3.0, 5.0, (50, 8)).astype(np.float32)
    policy = snapshot.policy(specs, info.codec.distribution)
    np.testing.assert_array_equal(policy.mode(observations), run(observations)[0].argmax(axis=-1))


def test_a_difference_is_refused() -> None:
    """Above 1e-5 (relative for numbers above 1) there is no certificate.

    There is none for NaN or another shape either.
    """
    expected = [np.array([[0.5, 200.0]], np.float32)]
    difference = largest_difference(expected, expected)
    assert certify(difference, random=1, visited=0).max_abs_difference == difference == 0
    assert largest_difference(expected, [np.array([[0.5, 200.001]])]) < 1e-5
    for wrong in ([[0.50002, 200.0]], [[0.5, 200.01]], [[np.nan, 200.0]], [[0.5]]):
        with pytest.raises(ParityFailed):
            certify(largest_difference(expected, [np.array(wrong)]), random=1, visited=0)


def test_weights_round_trip() -> None:
    """Dumped weights can be loaded, with and without a critic."""
    config = configuration()
    info = inspect(config)
    weights = initial_parameters(config, network_specs(config, info.encoder.size, info.codec.distribution))
    loaded = load_weights(dump_weights(weights))
    np.testing.assert_array_equal(loaded.actor, weights.actor)
    assert weights.critic is not None
    assert loaded.critic is not None
    np.testing.assert_array_equal(loaded.critic, weights.critic)
