"""Registers Corridor-v0, which policyd knows as `corridor:Corridor-v0`: importing the module registers it."""

from gymnasium.envs.registration import register

from corridor.env import Corridor

__all__ = ["Corridor"]

register(id="Corridor-v0", entry_point="corridor.env:Corridor", max_episode_steps=100)
