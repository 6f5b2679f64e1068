"""tianshou's Reinforce and A2C with the settings of its own CartPole examples (test/discrete).

Runs in the peers' environment. Its periodic tests are left out: every contestant is scored
afterwards.
"""

import contextlib
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from tianshou.algorithm import A2C, Reinforce
from tianshou.algorithm.algorithm_base import OnPolicyAlgorithm
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy, ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, CollectStats, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

from benchmarks.training.arguments import parse
from benchmarks.training.recorder import Recorder, Snapshot

BUDGET = {"CartPole-v1": 400_000, "LunarLander-v3": 200_000}  # 10 epochs of 40,000 steps, as in its examples


class Finished(Exception):
    """The run has used up its steps or its time."""


@dataclass(frozen=True)
class Setup:
    """An algorithm, its actor, and how it collects."""

    algorithm: OnPolicyAlgorithm
    actor: torch.nn.Module
    episodes: int  # episodes per collection
    n_envs: int
    repetitions: int  # passes over each collection


def a2c(env: gymnasium.Env) -> Setup:
    """The settings of tianshou's test_a2c_with_il.py."""
    net = Net(state_shape=env.observation_space.shape, hidden_sizes=[64, 64])
    actor = DiscreteActor(preprocess_net=net, action_shape=env.action_space.n, softmax_output=False)
    algorithm = A2C(
        policy=DiscreteActorPolicy(actor=actor, action_space=env.action_space),
        critic=DiscreteCritic(preprocess_net=net),
        optim=AdamOptimizerFactory(lr=1e-3),
        vf_coef=0.5,
        ent_coef=0.0,
        gae_lambda=1.0,
        gamma=0.9,
    )
    return Setup(algorithm, actor, episodes=16, n_envs=16, repetitions=1)


def reinforce(env: gymnasium.Env) -> Setup:
    """The settings of tianshou's test_reinforce.py."""
    shape, actions = env.observation_space.shape, env.action_space.n
    actor = Net(state_shape=shape, action_shape=actions, hidden_sizes=[64, 64], softmax=True)
    for module in actor.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.orthogonal_(module.weight, gain=np.sqrt(2))
            torch.nn.init.zeros_(module.bias)
    policy = ProbabilisticActorPolicy(
        actor=actor,
        dist_fn=torch.distributions.Categorical,
        action_space=env.action_space,
        action_scaling=False,
    )
    optim = AdamOptimizerFactory(lr=1e-3)
    algorithm = Reinforce(policy=policy, optim=optim, gamma=0.95, return_standardization=True)
    return Setup(algorithm, actor, episodes=8, n_envs=8, repetitions=2)


class Between:
    """Is called by the trainer before each collection."""

    def __init__(self, recorder: Recorder, actor: torch.nn.Module, budget: int) -> None:
        self.env_steps = 0
        self._recorder, self._actor, self._budget = recorder, actor, budget

    def __call__(self, _epoch: int, env_steps: int) -> None:
        """Takes a snapshot if one is due. Raises Finished at the end."""
        self.env_steps = env_steps
        if self._recorder.due():
            self.take()
        if self._recorder.over() or env_steps >= self._budget:
            raise Finished

    def take(self) -> None:
        """Stores the policy as it is now."""
        linears = [m for m in self._actor.modules() if isinstance(m, torch.nn.Linear)]
        arrays = [(m.weight.detach().numpy().T.copy(), m.bias.detach().numpy().copy()) for m in linears]
        self._recorder.take(Snapshot(self._recorder.seconds, self.env_steps, arrays, "relu"))


def main() -> None:
    """Trains, and takes snapshots."""
    run = parse()
    recorder = Recorder(run.gap, run.growth, run.max_seconds)
    recorder.imported()
    torch.set_num_threads(1)
    np.random.seed(run.seed)  # tianshou shuffles with numpy's global generator
    torch.manual_seed(run.seed)
    setup = {"a2c": a2c, "reinforce": reinforce}[run.algorithm](gymnasium.make(run.env_id))
    envs = DummyVectorEnv([lambda: gymnasium.make(run.env_id) for _ in range(setup.n_envs)])
    envs.seed(run.seed)
    budget = run.steps or BUDGET[run.env_id]
    between = Between(recorder, setup.actor, budget)
    params = OnPolicyTrainerParams(
        training_collector=Collector[CollectStats](
            setup.algorithm, envs, VectorReplayBuffer(20000, len(envs))
        ),
        test_collector=None,
        max_epochs=1,
        epoch_num_steps=2 * budget,
        collection_step_num_env_steps=None,
        collection_step_num_episodes=setup.episodes,
        update_step_num_repetitions=setup.repetitions,
        batch_size=64,
        training_fn=between,
        show_progress=False,
        verbose=False,
    )
    recorder.ready()
    with contextlib.suppress(Finished):
        setup.algorithm.run_training(params)
    between.take()
    recorder.save(between.env_steps, run.out)


if __name__ == "__main__":
    main()
