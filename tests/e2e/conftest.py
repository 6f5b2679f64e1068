"""A real trainer and a real server, as two processes on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.stack import Stack, StackSettings
from policyctl import PolicyClient


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Both run, with an empty repository."""
    with Stack(StackSettings(tmp_path)) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[PolicyClient]:
    """A client of the server."""
    with PolicyClient(stack.server_address) as connected:
        yield connected
