"""V-trace: targets from actions of an older policy, with truncated importance weights."""

from __future__ import annotations

from policyd_trainer.arrays import Array


def vtrace(deltas: Array, weights: Array, traces: Array, dones: Array, gamma: float) -> Array:
    """v_t - V(s_t) = sum_{k >= t} gamma^(k - t) (prod_{t <= i < k} c_i) rho_k delta_k. [T, N].

    Espeholt et al. 2018 (IMPALA), equation 1, as the recursion of its remark 1:
    v_t - V(s_t) = rho_t delta_t + gamma c_t (v_{t+1} - V(s_{t+1})), cut where an episode ends.

    Args:
        deltas: r_t + gamma V(s_{t+1}) - V(s_t), 0 bootstrapped after a termination [T, N].
        weights: rho_t = min(rho_bar, pi(a_t|s_t) / mu(a_t|s_t)) [T, N].
        traces: c_t = lambda min(c_bar, pi(a_t|s_t) / mu(a_t|s_t)) [T, N].
        dones: 1.0 where step t ended its episode [T, N].
        gamma: discount in [0, 1].
    """
    errors = weights * deltas
    carry = gamma * traces * (1 - dones)  # [T, N]
    for t in range(len(deltas) - 2, -1, -1):
        errors[t] += carry[t] * errors[t + 1]
    return errors


def vtrace_advantages(
    rewards: Array,
    values: Array,
    next_values: Array,
    errors: Array,
    weights: Array,
    dones: Array,
    gamma: float,
) -> Array:
    """rho_t (r_t + gamma v_{t+1} - V(s_t)), which weighs grad log pi(a_t|s_t). [T, N].

    Espeholt et al. 2018, section 4.2. At an episode's last step v_{t+1} is the bootstrapped
    V(s_{t+1}).

    Args:
        rewards: r_t [T, N].
        values: V(s_t) [T, N].
        next_values: V(s_{t+1}) of the true successor; 0 after a termination [T, N].
        errors: v_t - V(s_t), of `vtrace` [T, N].
        weights: rho_t [T, N].
        dones: 1.0 where step t ended its episode [T, N].
        gamma: discount in [0, 1].
    """
    targets = next_values + 0.0  # v_{t+1} = V(s_{t+1}) + (v_{t+1} - V(s_{t+1}))
    targets[:-1] += errors[1:] * (1 - dones[:-1])
    return weights * (rewards + gamma * targets - values)
