def named_seed(policy: bytes, episode_id: bytes, agent_id: bytes, step: int) -> int:
    """Returns the seed of a named request without one, so that a retry draws the same action.

    Only a test calls it, to compare it with the same function in Python.
    """
