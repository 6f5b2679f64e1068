"""Importing this module registers Corridor-v0, which policyd calls `corridor:Corridor-v0`."""

from gymnasium.envs.registration import register

from corridor.env import Corridor

__all__ = ["Corridor"]

register(id="Corridor-v0", entry_point="corridor.env:Corridor", max_episode_steps=100)
