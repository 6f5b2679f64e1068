"""Stable-Baselines3's A2C with rl-zoo's settings (hyperparams/a2c.yml of rl-baselines3-zoo).

Runs in the peers' environment. rl-zoo's LunarLander row is written for version 2 of that
environment.
"""

import torch
from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from benchmarks.training.arguments import parse
from benchmarks.training.recorder import Recorder, Snapshot

ZOO = {
    "CartPole-v1": {"n_envs": 8, "steps": 500_000, "ent_coef": 0.0},
    "LunarLander-v3": {
        "n_envs": 8,
        "steps": 200_000,
        "gamma": 0.995,
        "n_steps": 5,
        "learning_rate": lambda remaining: 0.00083 * remaining,
        "ent_coef": 0.00001,
    },
    "Acrobot-v1": {"n_envs": 16, "steps": 500_000, "ent_coef": 0.0, "normalize": True},
}


class Snapshots(BaseCallback):
    """Takes snapshots between rollouts, when an update is complete."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def _on_rollout_start(self) -> None:
        if self.recorder.due():
            self.take()

    def _on_step(self) -> bool:
        return not self.recorder.over()

    def take(self) -> None:
        """Stores the policy as it is now."""
        policy, env = self.model.policy, self.model.get_env()
        linears = [m for m in policy.mlp_extractor.policy_net if hasattr(m, "weight")] + [policy.action_net]
        arrays = [(m.weight.detach().numpy().T.copy(), m.bias.detach().numpy().copy()) for m in linears]
        moments = {}
        if isinstance(env, VecNormalize):
            moments = {"mean": env.obs_rms.mean.copy(), "deviation": (env.obs_rms.var + env.epsilon) ** 0.5}
        self.recorder.take(Snapshot(self.recorder.seconds, self.num_timesteps, arrays, "tanh", **moments))


def main() -> None:
    """Trains, and takes snapshots."""
    run = parse()
    recorder = Recorder(run.gap, run.growth, run.max_seconds)
    recorder.imported()
    torch.set_num_threads(1)
    settings = dict(ZOO[run.env_id])
    n_envs, steps = settings.pop("n_envs"), settings.pop("steps")
    env = make_vec_env(run.env_id, n_envs, seed=run.seed)
    if settings.pop("normalize", False):
        env = VecNormalize(env, gamma=settings.get("gamma", 0.99))
    model = A2C("MlpPolicy", env, seed=run.seed, device="cpu", **settings)
    snapshots = Snapshots(recorder)
    recorder.ready()
    model.learn(run.steps or steps, callback=snapshots)
    snapshots.take()
    recorder.save(model.num_timesteps, run.out)


if __name__ == "__main__":
    main()
