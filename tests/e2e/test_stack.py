"""Trainer and server together, as processes."""

from __future__ import annotations

import pytest

from examples.stack import Stack
from policyd import PolicyClient, errors


def test_training_calls_go_through_the_server(stack: Stack, client: PolicyClient) -> None:
    """The server forwards lists, errors with their details, and watches."""
    assert client.list_training_jobs() == []
    with pytest.raises(errors.NotFound):
        client.get_training_job("nope")
    with pytest.raises(errors.NotFound):
        list(client.watch_training_job("nope"))


def test_without_the_trainer_the_server_goes_on(stack: Stack, client: PolicyClient) -> None:
    """Training calls give Unavailable with a time to try again. Everything else works as before."""
    stack.trainer.stop()
    with pytest.raises(errors.Unavailable) as caught:
        client.list_training_jobs()
    assert caught.value.retry_after > 0
    assert client.list_policies() == []


def test_both_stop_cleanly(stack: Stack) -> None:
    """Closing the stack ends the server, then the trainer, each with exit code 0."""
    stack.close()
    assert list(stack.exit_codes.items()) == [("server", 0), ("trainer", 0)]
