def named_seed(policy: bytes, episode_id: bytes, agent_id: bytes, step: int) -> int:
    """The seed of a named request without one: a retry draws the same.

    For the test against Python's.
    """
