"""Learning from clients: what reaches its target, on good and bad networks."""
