"""Exact success of FrozenLake policies: `python -m benchmarks.training.exact`.

Gymnasium tells the transition probabilities, so no episode is played. Prints the best possible, and
what each published `model.onnx` reaches with its most probable and with sampled actions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import gymnasium as gym
import numpy as np
import onnxruntime as ort


class Lake:
    """The transition probabilities. The last state, one more, means that the episode has ended."""

    def __init__(self, env_id: str) -> None:
        env: Any = gym.make(env_id)
        table: dict[int, dict[int, list[tuple[float, int, float, bool]]]] = env.unwrapped.P
        self.limit: int = env.spec.max_episode_steps
        states, actions = len(table), len(table[0])
        self.next = np.zeros((states, actions, states + 1))  # [S, A, S + 1]
        self.reward = np.zeros((states, actions))  # [S, A], expected rewards
        for state, of_state in table.items():
            for action, outcomes in of_state.items():
                for probability, after, reward, ended in outcomes:
                    self.next[state, action, states if ended else after] += probability
                    self.reward[state, action] += probability * reward

    def best(self) -> float:
        """The best possible mean return, by backward induction over the remaining steps."""
        values = np.zeros(len(self.reward) + 1)  # [S + 1]
        for _ in range(self.limit):
            values = np.append((self.reward + self.next @ values).max(1), 0.0)
        return float(values[0])

    def best_without_clock(self, gamma: float) -> float:
        """The mean return, within the limit, of the policy from value iteration with `gamma`."""
        values = np.zeros(len(self.reward) + 1)
        for _ in range(20_000):
            worth = self.reward + gamma * self.next @ values  # [S, A]
            values = np.append(worth.max(1), 0.0)
        return self.reached(np.eye(worth.shape[1])[worth.argmax(1)])

    def reached(self, policy: np.ndarray) -> float:
        """The mean return of action probabilities [S, A]."""
        steps = np.einsum("sa,san->sn", policy, self.next)  # [S, S + 1]
        rewards, values = (policy * self.reward).sum(1), np.zeros(len(policy) + 1)
        for _ in range(self.limit):
            values = np.append(rewards + steps @ values, 0.0)
        return float(values[0])


def probabilities(model: Path, states: int) -> np.ndarray:
    """The policy's action probabilities in each state [S, A]."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    observations = np.arange(states, dtype=np.float32).reshape(-1, 1)
    found: np.ndarray = np.asarray(session.run(["action_probs"], {"observations": observations})[0])
    found /= found.sum(1, keepdims=True)
    return found


@click.command(context_settings={"show_default": True})
@click.argument("models", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--env", "env_id", default="FrozenLake-v1")
def main(models: tuple[Path, ...], env_id: str) -> None:
    """Print one line for the environment and one for each of MODELS."""
    lake = Lake(env_id)
    found = " ".join(f"{gamma:g}: {lake.best_without_clock(gamma):.4f}" for gamma in (0.99, 0.995, 0.999))
    print(f"{env_id}: at most {lake.best():.4f}; by value iteration with gamma {found}")
    for model in models:
        chances = probabilities(model, len(lake.reward))
        greedy = lake.reached(np.eye(chances.shape[1])[chances.argmax(1)])
        print(f"{model}: greedy {greedy:.4f}, sampled {lake.reached(chances):.4f}")


if __name__ == "__main__":
    main()
