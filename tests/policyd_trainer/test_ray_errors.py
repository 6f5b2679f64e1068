"""Messages of Ray's errors, as its servers send them."""

from __future__ import annotations

from policyd_trainer.ray_errors import MAX_CHARACTERS, in_one_line

REFUSED = """Initialization failure from server:
Traceback (most recent call last):
  File "/opt/ray/util/client/server/proxier.py", line 772, in Datapath
    raise RuntimeError(
RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.
"""


def test_a_traceback_of_the_server_is_its_last_line() -> None:
    """The trainer's log has one line with the reason, without frames of another program."""
    assert in_one_line(ConnectionError(REFUSED)) == (
        "Initialization failure from server:; RuntimeError: Starting Ray client server failed. See"
        " ray_client_server_23000.err for detailed logs."
    )


def test_an_actor_that_died_is_told_without_its_number() -> None:
    """Numbers of actors mean nothing to a reader of the log."""
    died = "The actor died unexpectedly.\n\tclass_name: Run\n\tactor_id: 12ab\nThe node was terminated."
    assert in_one_line(RuntimeError(died)) == "The actor died unexpectedly.; The node was terminated."


def test_an_error_always_says_something_and_not_too_much() -> None:
    """An error without a text shows its type, and a long text is cut."""
    assert in_one_line(TimeoutError()) == "TimeoutError"
    assert len(in_one_line(ValueError("x" * 10_000))) == MAX_CHARACTERS
