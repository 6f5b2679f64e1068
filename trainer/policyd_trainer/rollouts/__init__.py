"""Collecting experience: one buffer [T, N], filled by acting in environments.

`collector` acts in this process; `workers` in several. Both return a `buffer.Rollout`.
"""
