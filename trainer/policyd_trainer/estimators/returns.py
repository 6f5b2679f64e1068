"""Discounted returns of rollouts that may hold several episodes per environment.

`dones[t]` says that step t ended its episode; nothing flows over it. Times are [0, T).
"""

from __future__ import annotations

from policyd_trainer.arrays import Array


def reward_to_go(rewards: Array, dones: Array, final_values: Array, gamma: float) -> Array:
    """G_t = r_t + gamma * (G_{t+1}, or final_values_t where step t ended the episode). [T, N].

    Sutton and Barto 2018, equation 3.9.

    Args:
        rewards: r_t [T, N].
        dones: 1.0 where step t ended its episode [T, N].
        final_values: value of what follows step t, used where done and at the last step:
            0 after a termination, the critic's bootstrap after a truncation [T, N].
        gamma: discount in [0, 1].
    """
    returns = rewards + gamma * final_values  # right where done, and at T - 1
    for t in range(len(rewards) - 2, -1, -1):
        going_on = rewards[t] + gamma * returns[t + 1]
        returns[t] = going_on * (1 - dones[t]) + returns[t] * dones[t]
    return returns


def episode_return(rewards: Array, dones: Array, gamma: float) -> Array:
    """R_tau = sum_{k=1} gamma^k r_k, the same number at each step of its episode. [T, N].

    This is exactly what the course's loop adds up (`R += gamma ** step * reward`, step from 1):
    **the first reward is already discounted once**, so R_tau is gamma times the return of
    reward_to_go at the episode's first step. Each environment's first episode starts at time 0.

    Args:
        rewards: r_t [T, N].
        dones: 1.0 where step t ended its episode [T, N].
        gamma: discount in [0, 1].
    """
    totals = gamma * reward_to_go(rewards, dones, 0.0 * rewards, gamma)  # right at first steps
    for t in range(1, len(rewards)):
        totals[t] = totals[t] * dones[t - 1] + totals[t - 1] * (1 - dones[t - 1])
    return totals
