"""Pure functions of rewards and values: returns, advantages, running moments.

Arrays are [T, N], time first; written with operators only, so that numpy and torch both do.
"""
