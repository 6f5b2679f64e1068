"""How often the same thing is logged."""

from policyd.runtime.log_limit import MAX_KEYS, LogLimit, and_others


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time of the clock."""
        return self.now


def test_the_first_of_each_window_pass_and_the_others_are_counted() -> None:
    """The first line of the next window says how many lines were left out."""
    clock = Clock()
    limit = LogLimit(2, 10.0, clock)
    assert [limit.passes("a") for _ in range(5)] == [0, 0, None, None, None]
    assert limit.passes("b") == 0
    clock.now = 10.0
    assert [limit.passes("a") for _ in range(3)] == [3, 0, None]
    assert and_others(0) == ""
    assert "3 more" in and_others(3)


def test_keys_are_bounded() -> None:
    """A client that invents keys uses no memory."""
    limit = LogLimit(1, 10.0, Clock())
    for key in range(3 * MAX_KEYS):
        assert limit.passes(key) == 0
    assert len(limit._windows) == MAX_KEYS
