"""A program with a loop of its own. Each episode keeps one version; the next takes the newest.

python -m examples.clients.loop --server 127.0.0.1:50051 --policy cartpole
"""

from __future__ import annotations

import argparse

import gymnasium
import numpy as np

from policyd import PolicyClient


def episode(client: PolicyClient, policy: str, env_id: str, seed: int) -> tuple[float, int]:
    """Plays one episode. Returns its return, and the version that acted in all of it."""
    environment = gymnasium.make(env_id)
    first_action = int(getattr(environment.action_space, "start", 0))
    observation, _ = environment.reset(seed=seed)
    version: int | None = None  # from the first response, so that all of the episode has one version
    total, step, done = 0.0, 0, False
    while not done:
        batch = np.asarray(observation)[None]  # [1, ...]
        answer = client.act(batch, policy=policy, version=version, seed=seed, first_row=step)
        version = answer.version
        action = first_action + int(answer.actions[0])
        observation, reward, terminated, truncated, _ = environment.step(action)
        total, step, done = total + float(reward), step + 1, terminated or truncated
    environment.close()
    assert version is not None
    return total, version


def main() -> None:
    """Plays a few episodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="127.0.0.1:50051")
    parser.add_argument("--policy", default="cartpole")
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--episodes", type=int, default=3)
    arguments = parser.parse_args()
    with PolicyClient(arguments.server) as client:
        for seed in range(arguments.episodes):
            total, version = episode(client, arguments.policy, arguments.env, seed)
            print(f"episode {seed}: return {total:g}, version {version}")


if __name__ == "__main__":
    main()
