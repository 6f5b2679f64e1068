"""Distributions of actions: what a network's outputs mean.

Each kind is one class with the methods of `interface.Distribution`, written for numpy and torch
alike: `categorical` serves Discrete actions, `multi_categorical` MultiDiscrete, `bernoulli`
MultiBinary, `gaussian` and `state_dependent` Box. `spaces.actions` chooses.
"""
