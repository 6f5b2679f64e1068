"""A rollout and its update on a device: what the numpy engine learns, and no look at the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.prepare import make_batch
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.device.batches import Division
from policyd_trainer.device.loop import DeviceLoop, first_parameters
from policyd_trainer.device.program import Program
from policyd_trainer.device.streams import Streams
from policyd_trainer.device.tasks import task_of
from policyd_trainer.environments.make import inspect
from policyd_trainer.rollouts.buffer import Rollout

CPU = torch.device("cpu")
PRACTICAL = {"normalize_observations": "true", "normalize_rewards": "true", "normalize_advantages": "true"}
BASE = {
    "preset": "course",
    "critic_gradient": "semi",
    "truncation": "bootstrap",
    "n_envs": "8",
    "n_steps": "8",
}
SHORT = {"max_episode_steps": "11", "gae_lambda": "0.95", "activation": "tanh", "learning_rate": "0.003"}

# Settings with which both engines learn from the same transitions.
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "plain": ("CartPole-v1", {}),
    "practical": ("CartPole-v1", {**PRACTICAL, "minibatch_size": "16", "max_grad_norm": "0.5"}),
    "epochs-clipped": ("CartPole-v1", {"n_epochs": "2", "minibatch_size": "32", "clip_range": "0.2"}),
    "values-clipped": ("CartPole-v1", {"n_epochs": "2", "clip_range_vf": "0.05", "ent_coef": "0.02"}),
    "critic-passes": ("Acrobot-v1", {**PRACTICAL, "minibatch_size": "32", "critic_minibatch_size": "16"}),
    "rmsprop": ("MountainCar-v0", {"optimizer": "rmsprop_a2c", "optimizer_eps": "1e-5"}),
    "sgd": ("CartPole-v1", {"optimizer": "sgd", "truncation": "terminate"}),
    "gaussian": ("Pendulum-v1", {**PRACTICAL, "ent_coef": "0.01"}),
    "squashed": ("Pendulum-v1", {"squash": "tanh", "ent_coef": "0.01"}),
    "exploring": ("Pendulum-v1", {**PRACTICAL, "use_sde": "true", "log_std_init": "-1.0"}),
}


def configuration(form: str, **settings: str) -> TrainingConfig:
    env_id, own = FORMS[form]
    return resolve_config("p", env_id, "a2c", 0, {**BASE, **SHORT, **own, **settings})


def program_of(config: TrainingConfig) -> Program:
    task = task_of(config, inspect(config))
    program = Program(config, task, first_parameters(config, task, torch.float32))
    program.reset()
    return program


def stored(program: Program) -> Rollout:
    """The program's rollout in the form of the numpy engine."""
    storage = program.storage
    arrays = {
        name: getattr(storage, name)[0].numpy().copy()
        for name in ("observations", "actions", "rewards", "terminated", "truncated")
    }
    after = program.observations.numpy().copy()[None]
    cut = arrays["truncated"] & ~arrays["terminated"]
    return Rollout(
        **{**arrays, "observations": np.concatenate((arrays["observations"], after))},
        valid=np.ones(cut.shape, bool),
        final_index=np.argwhere(cut),
        final_observations=storage.successors[0].numpy()[cut],
    )


class Dealt:
    """The program's orders, where `Learner.update` expects a numpy generator."""

    def __init__(self, program: Program, config: TrainingConfig) -> None:
        self._orders = []
        for first, division in zip((0, 500), program._divisions, strict=True):
            for epoch in range(config.n_epochs if division is not None and division.minibatches > 1 else 0):
                assert division is not None
                places = division.places(program.streams, 1, first + epoch)
                self._orders.append(torch.cat(places, dim=1)[0].numpy())

    def permutation(self, count: int) -> np.ndarray:
        """The next order."""
        order = self._orders.pop(0)
        np.testing.assert_array_equal(np.sort(order), np.arange(count))  # it is a permutation
        return order


def learn(loop: TrainingLoop, rollout: Rollout, order: Any) -> None:
    scaling = loop.scaling()
    rewards = loop._count(rollout)
    loop.batch = make_batch(loop.config, loop.learner, rollout, rewards, scaling)
    loop.learner.update(loop.batch, loop.rates(), order)


@pytest.mark.parametrize("form", FORMS)
def test_learns_what_the_numpy_engine_learns(form: str) -> None:
    """Five updates with the same transitions give the same weights, moments and figures."""
    config = configuration(form)
    loop, program = start(config, inspect(config)), program_of(config)
    device_loop = DeviceLoop(config, program.task, CPU)
    device_loop.program = program
    cuts = 0
    for _ in range(5):
        device_loop.set_rates(loop.rates())
        program.collect()
        rollout = stored(program)
        cuts += len(rollout.final_index)
        order = Dealt(program, config)
        program.learn()
        learn(loop, rollout, order)
    assert loop.learner.critic is not None
    expected = [loop.learner.actor.parameters, loop.learner.critic.parameters]
    for part, wanted in zip(program.learner.parts, expected, strict=True):
        np.testing.assert_allclose(part[0].numpy(), wanted, atol=1e-4)
    assert cuts > 0, "truncated episodes were among them"
    if loop.moments is not None and device_loop.moments is not None:
        np.testing.assert_allclose(device_loop.moments.mean, loop.moments.mean, atol=1e-5)
        np.testing.assert_allclose(device_loop.moments.std, loop.moments.std, rtol=1e-4)
    means = program.episodes.means(5)
    assert means.episodes == loop.episodes.episodes
    for name, figure in loop.losses().items():
        assert device_loop.losses()[name] == pytest.approx(figure, abs=2e-3), name


class NoLook(TorchDispatchMode):
    """Refuses whatever makes the host wait for the device, or reads a number from it."""

    LOOKS = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "unique", "item")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.calls += 1
        tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        if any(name.startswith(look) for look in self.LOOKS):
            raise AssertionError(f"{func} waits for the device")
        masks = [t for t in torch.utils._pytree.tree_leaves(args[1:]) if isinstance(t, torch.Tensor)]
        if name in ("index", "index_put_", "index_put") and any(t.dtype == torch.bool for t in masks):
            raise AssertionError(f"{func} with a mask counts its elements on the host")
        wanted = torch.device((kwargs or {}).get("device") or "meta").type
        if len(devices) > 1 or (devices == {"meta"} and wanted != "meta"):
            raise AssertionError(f"{func} copies between host and device: {devices} to {wanted}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("form", FORMS)
def test_nothing_looks_at_the_device(form: str) -> None:
    """On a device without numbers, an iteration neither copies to the host nor reads a number."""
    config = configuration(form, seeds="2")
    task = task_of(config, inspect(config))
    parameters = torch.zeros(first_parameters(config, task, torch.float32).shape, device="meta")
    program = Program(config, task, parameters)
    program.reset()
    with NoLook() as guard:
        program.iterate()
        program.iterate()
    assert guard.calls > 1000


def test_the_guard_sees_what_it_forbids() -> None:
    """Each way to read a tensor fails under the guard."""
    ways: list[Any] = [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.where(x > 0, x, torch.tensor(0.0)),
        lambda x: x + torch.ones(3),
    ]
    for way in ways:
        with pytest.raises(AssertionError), NoLook():
            way(torch.zeros(3, device="meta"))


def test_a_division_deals_alike_in_any_number_of_processes() -> None:
    """Two processes' minibatches together are those of one process, environment by environment."""
    whole = Division.of(6, 8, 1, 4, "minibatch_size")
    part = Division.of(6, 8, 2, 4, "minibatch_size")
    assert whole.minibatches == part.minibatches == 12
    alone = whole.places(Streams([3], 8, CPU), 1, 0)
    halves = [part.places(Streams([3], 4, CPU, first), 1, 0) for first in (0, 4)]
    for index, places in enumerate(alone):
        steps = {divmod(int(place), 8) for place in places[0]}
        dealt = {
            (int(place) // 4, int(place) % 4 + first)
            for first, half in zip((0, 4), halves, strict=True)
            for place in half[index][0]
        }
        assert steps == dealt


def test_a_member_learns_what_its_seed_learns_alone() -> None:
    """A population of three ends with the weights of three runs with the seeds 0, 1 and 2."""
    population = DeviceLoop(configuration("practical", seeds="3"), _task("practical"), CPU)
    for _ in range(4):
        population.advance(population.rates())
    for seed in range(3):
        config = configuration("practical").model_copy(update={"seed": seed})
        alone = DeviceLoop(config, _task("practical"), CPU)
        for _ in range(4):
            alone.advance(alone.rates())
        np.testing.assert_allclose(
            population.program.learner.parameters[seed].numpy(),
            alone.program.learner.parameters[0].numpy(),
            atol=2e-5,
        )


def _task(form: str) -> Any:
    config = configuration(form)
    return task_of(config, inspect(config))
