"""Rows for spaces that the general default does not fit, and for known continuous environments."""

from __future__ import annotations

from collections.abc import Mapping

from policyd_trainer.presets.general import A2C, DEFAULT, EXPLORING, REINFORCE, SLOW_STEPS, Preset

# PPO: ten passes over 2,048 steps, which need the clip. Exploration is the same in every state. It
# begins at six tenths of half a range; from all of half a range HalfCheetah-v5 learned more slowly
# (300,000 steps, tuning seed 202: 1337 instead of 1994).
CONTINUOUS_A2C: dict[str, object] = {
    **A2C,
    "n_envs": 8,
    "n_steps": 256,
    "n_epochs": 10,
    "minibatch_size": 64,
    "clip_range": 0.2,
    "gae_lambda": 0.95,
    "learning_rate": 3e-4,
    "log_std_init": -0.5,
}

# Exploration that depends on the state (gSDE), small at first, and advantages that are not
# normalised. On Pendulum-v1 (600,000 steps, tuning seed 2) this reached -239; a plain Gaussian with
# normalised advantages and without the clip reached -877.
STATE_DEPENDENT_A2C: dict[str, object] = {
    **A2C,
    **EXPLORING,
    "vf_coef": 1.0,
    "n_envs": 8,
    "n_steps": 8,
    "minibatch_size": None,
    "gae_lambda": 0.95,
    "normalize_advantages": False,
    "learning_rate": 1e-3,
    "use_sde": True,
    "log_std_init": -2.0,
}

# Many pixels carry the same information, so one update changes a policy a lot. ReLU networks became
# certain of a wrong action within 3,000 steps and stayed there (brightness alone, 60,000 steps,
# seed 0: 5.1 of 8; with tanh and more entropy 7.9).
CURIOUS: dict[str, object] = {"ent_coef": 0.03, "ent_coef_final": 0.0}

# If every step costs 1 and the discount is .99, staying for ever costs 100, as much as one fall
# from the cliff, and policies stayed. At .999 staying costs 1,000.
FAR_SIGHTED: dict[str, object] = {"gamma": 0.999}

# Many such tasks return 0 or 1, and the mean of 100 such episodes has a standard error of 0.045:
# twenty policies that all reach the goal in 73% of episodes reported 63% to 81%. Episodes are
# short. The evaluation budget may lower this number, because the run itself did not ask for it.
JUDGED_LONG: dict[str, object] = {"evaluation_episodes": 1000}

KINDS: Mapping[tuple[str, str], Preset] = {
    ("continuous", "a2c"): Preset(
        source="PPO's settings for MuJoCo (Schulman et al. 2017, table 3), with this engine's scaling; "
        "tuning seeds 201-204",
        settings={**CONTINUOUS_A2C, "total_timesteps": 1_000_000},
    ),
    ("continuous", "reinforce"): Preset(
        source="the default's row with rl-zoo's exploration for continuous control",
        settings={**REINFORCE, "total_timesteps": 1_000_000, "use_sde": True, "log_std_init": -1.0},
    ),
    ("tabular", "a2c"): Preset(
        source="the default's row with long returns (CliffWalking, FrozenLake, tuning seeds 60-63) and "
        "three times its exploration (FrozenLake8x8, tuning seeds 3-7 and 101-120)",
        settings={**DEFAULT["a2c"].settings, **FAR_SIGHTED, **JUDGED_LONG, "ent_coef": 0.03},
    ),
    ("tabular", "reinforce"): Preset(
        source="the default's row",
        settings={**DEFAULT["reinforce"].settings, **JUDGED_LONG},
    ),
    ("images", "a2c"): Preset(
        source="the default's row; tanh and more exploration by brightness and patterns, tuning seed 0",
        settings={
            **A2C,
            "total_timesteps": 1_000_000,
            "n_steps": 16,
            "minibatch_size": 128,
            "learning_rate": 1e-3,
            "hidden_sizes": [128],
            "critic_hidden_sizes": [128],
            **CURIOUS,
        },
    ),
    ("images", "reinforce"): Preset(
        source="the default's row with the wider layer and the exploration of images under a2c",
        settings={
            **REINFORCE,
            "total_timesteps": 1_000_000,
            "learning_rate": 1e-3,
            "hidden_sizes": [128],
            "critic_hidden_sizes": [128],
            **CURIOUS,
        },
    ),
}

TUNED_CONTINUOUS: Mapping[tuple[str, str], Preset] = {
    ("Swimmer-v5", "a2c"): Preset(
        source="the row of continuous actions; gamma .99 hides what a stroke earns (Franceschetti "
        "et al. 2022): after 300,000 steps of tuning seed 201 it reached 28, .9999 reached 115",
        settings={**CONTINUOUS_A2C, "total_timesteps": 1_000_000, "gamma": 0.9999},
    ),
    ("Pendulum-v1", "a2c"): Preset(
        source="rl-zoo's A2C row (gamma .9, lambda .9, gSDE); learning rate by tuning seeds 2 and 3",
        settings={**STATE_DEPENDENT_A2C, "total_timesteps": 1_000_000, "gamma": 0.9, "gae_lambda": 0.9},
    ),
    ("MountainCarContinuous-v0", "a2c"): Preset(
        source="rl-zoo's A2C row (4 x 100 steps, noise kept for 16 steps); the rest by tuning seeds 1 and 2",
        settings={
            **STATE_DEPENDENT_A2C,
            "total_timesteps": 100_000,
            "n_envs": 4,
            "n_steps": 100,
            "gae_lambda": 0.98,
            "normalize_advantages": True,
            "learning_rate": 3e-3,
            "log_std_init": -0.5,
            "sde_sample_freq": 16,
            "optimizer_eps": 1e-8,
        },
    ),
    ("LunarLanderContinuous-v3", "a2c"): Preset(
        source="LunarLander's long returns, a plain Gaussian that begins narrow; tuning seeds 60 and 61",
        settings={
            **A2C,
            **SLOW_STEPS,
            "total_timesteps": 1_500_000,
            "n_envs": 8,
            "n_steps": 32,
            "minibatch_size": None,
            "critic_minibatch_size": 64,
            "gamma": 0.999,
            "learning_rate": 7e-4,
            "log_std_init": -1.0,
        },
    ),
}
