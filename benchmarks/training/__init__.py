"""Training side by side: policyd, Stable-Baselines3 and tianshou from process start to a solved task."""
