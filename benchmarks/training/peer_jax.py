"""A2C as one jitted JAX program with gymnax's CartPole, after the form that PureJaxRL published.

Runs in the peers' environment. Collecting, estimating and updating are one compiled function (Lu et
al. 2022, "Discovered policy optimisation"); networks, settings and update are those of our CartPole
preset, so that programs are compared, not settings. Observations are not normalised: CartPole's are
small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.training.arguments import Run, parse
from benchmarks.training.recorder import Recorder, Snapshot

ENVS, STEPS, MINIBATCH, BUDGET = 16, 16, 64, 200_000
GAMMA, LAMBDA, RATE, NORM, VALUE_WEIGHT = 0.99, 0.98, 1.4e-3, 0.5, 0.5
CALL = 40  # rollouts per call of the compiled function

Weights = Any  # {"actor": layers, "critic": layers}; a layer is (weight [in, out], bias [out])


class Carry(NamedTuple):
    """What one rollout passes on to the next."""

    weights: Weights
    moments: Any  # the optimiser's moments
    states: Any  # the environments' states
    observations: jax.Array  # [N, 4]
    key: jax.Array


def outputs(layers: Any, x: jax.Array) -> jax.Array:
    """A perceptron with tanh between its layers."""
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    return x @ layers[-1][0] + layers[-1][1]


def initial(key: jax.Array) -> Weights:
    """Orthogonal initial weights, the same scheme as ours."""

    def layers(key: jax.Array, sizes: tuple[int, ...], last: float) -> Any:
        gains = [2**0.5] * (len(sizes) - 2) + [last]
        keys = jax.random.split(key, len(gains))
        pairs = zip(keys, sizes[:-1], sizes[1:], gains, strict=True)
        make = jax.nn.initializers.orthogonal
        return [(make(gain)(k, (i, o)), jnp.zeros(o)) for k, i, o, gain in pairs]

    actor, critic = jax.random.split(key)
    return {"actor": layers(actor, (4, 64, 64, 2), 0.01), "critic": layers(critic, (4, 64, 64, 1), 1.0)}


def advantages(values: jax.Array, last: jax.Array, rewards: jax.Array, dones: jax.Array) -> jax.Array:
    """GAE(lambda) over [T, N], computed backwards."""

    def step(carry: Any, row: Any) -> Any:
        following, later = carry
        value, reward, done = row
        delta = reward + GAMMA * later * (1 - done) - value
        found = delta + GAMMA * LAMBDA * (1 - done) * following
        return (found, value), found

    zero = jnp.zeros_like(last)
    return jax.lax.scan(step, (zero, last), (values, rewards, dones), reverse=True)[1]


def program(env: Any, parameters: Any, optimizer: Any, envs: int = ENVS) -> Any:
    """The compiled function. It maps a carry to the carry after `CALL` rollouts and updates."""

    def act(carry: Carry, _: Any) -> Any:
        key, sampling, stepping = jax.random.split(carry.key, 3)
        actions = jax.random.categorical(sampling, outputs(carry.weights["actor"], carry.observations))
        keys = jax.random.split(stepping, envs)
        step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
        observations, states, rewards, dones, *_ = step(keys, carry.states, actions, parameters)
        stored = (carry.observations, actions, rewards, dones.astype(jnp.float32))
        return carry._replace(states=states, observations=observations, key=key), stored

    def loss(weights: Weights, batch: Any) -> jax.Array:
        observations, actions, found, targets = batch
        log_probs = jax.nn.log_softmax(outputs(weights["actor"], observations))
        chosen = jnp.take_along_axis(log_probs, actions[:, None], axis=1)[:, 0]
        errors = outputs(weights["critic"], observations)[:, 0] - targets
        return -(found * chosen).mean() + VALUE_WEIGHT * (errors**2).mean()

    def update(pair: Any, batch: Any) -> Any:
        weights, moments = pair
        changes, moments = optimizer.update(jax.grad(loss)(weights, batch), moments, weights)
        return (optax.apply_updates(weights, changes), moments), None

    def rollout(carry: Carry, _: Any) -> Any:
        carry, (observations, actions, rewards, dones) = jax.lax.scan(act, carry, None, STEPS)
        values = outputs(carry.weights["critic"], observations)[..., 0]
        last = outputs(carry.weights["critic"], carry.observations)[:, 0]
        found = advantages(values, last, rewards, dones)
        flat = [a.reshape(STEPS * envs, *a.shape[2:]) for a in (observations, actions, found, found + values)]
        flat[2] = (flat[2] - flat[2].mean()) / (flat[2].std() + 1e-8)
        key, shuffling = jax.random.split(carry.key)
        order = jax.random.permutation(shuffling, STEPS * envs).reshape(-1, MINIBATCH)
        batches = [a[order] for a in flat]
        (weights, moments), _ = jax.lax.scan(update, (carry.weights, carry.moments), batches)
        return carry._replace(weights=weights, moments=moments, key=key), None

    return jax.jit(lambda carry: jax.lax.scan(rollout, carry, None, CALL)[0])


def start(run: Run, envs: int = ENVS) -> tuple[Any, Carry]:
    """The compiled function and the first carry."""
    env, parameters = gymnax.make(run.env_id)
    steps = run.steps or BUDGET
    schedule = optax.linear_schedule(RATE, 0.0, steps // MINIBATCH)
    optimizer = optax.chain(optax.clip_by_global_norm(NORM), optax.adam(schedule, eps=1e-5))
    weights_key, reset_key, key = jax.random.split(jax.random.key(run.seed), 3)
    weights = initial(weights_key)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    observations, states = reset(jax.random.split(reset_key, envs), parameters)
    carry = Carry(weights, optimizer.init(weights), states, observations, key)
    return program(env, parameters, optimizer, envs), carry


def snapshot(recorder: Recorder, carry: Carry, env_steps: int) -> Snapshot:
    """The policy at this moment."""
    layers = [(np.asarray(weight), np.asarray(bias)) for weight, bias in carry.weights["actor"]]
    return Snapshot(recorder.seconds, env_steps, layers, "tanh")


def main() -> None:
    """Trains, and takes snapshots between calls of the compiled function."""
    run = parse()
    recorder = Recorder(run.gap, run.growth, run.max_seconds)
    recorder.imported()
    compiled, carry = start(run)
    recorder.ready()
    env_steps = 0
    while env_steps < (run.steps or BUDGET) and not recorder.over():
        carry = jax.block_until_ready(compiled(carry))
        env_steps += CALL * STEPS * ENVS
        if recorder.due():
            recorder.take(snapshot(recorder, carry, env_steps))
    recorder.take(snapshot(recorder, carry, env_steps))
    recorder.save(env_steps, run.out)


if __name__ == "__main__":
    main()
