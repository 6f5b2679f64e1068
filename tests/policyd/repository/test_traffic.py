"""The document of a policy's traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_api.v1.traffic_pb2 import Traffic, TrafficShare
from policyd.repository import ModelRepository, traffic
from policyd.repository.names import MAX_TEXT


@pytest.mark.parametrize("character", ["\U0001f600", "\x01", '"'])
def test_the_longest_history_can_be_read(tmp_path: Path, character: str) -> None:
    """Whatever the texts of a full history are, the document stays below its limit."""
    shares = [TrafficShare(version=10**14 + place, share=1 / 30) for place in range(20)]
    text = character * MAX_TEXT

    def change(state: Traffic) -> Traffic:
        for _ in range(traffic.KEPT_CHANGES + 1):
            state = traffic.with_shares(state, "champion", shares, actor=text, reason=text)
        return state

    repository = ModelRepository(tmp_path)
    changed = repository.change_traffic("p", change)
    assert repository.traffic("p") == changed
    assert len(changed.history) == traffic.KEPT_CHANGES
