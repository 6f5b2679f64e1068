"""Trainer and server as two processes on this machine, started by their command lines."""

from examples.stack.processes import ProcessFailure
from examples.stack.stack import Stack, StackSettings

__all__ = ["ProcessFailure", "Stack", "StackSettings"]
