"""Training side by side.

Policyd, Stable-Baselines3 and tianshou from process start to a solved task.
"""
