"""The whole path once: train, publish, swap, act, play."""
