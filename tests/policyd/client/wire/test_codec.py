"""The codec of the compiled core writes and reads what protobuf does."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from policyd.client import calls
from tests.policyd.client.wire.fuzz.messages import check_request, check_response
from tests.policyd.client.wire.needed import needs_wire

pytestmark = needs_wire

ROW = np.ones((1, 8), np.float32)


@pytest.fixture
def codec() -> Any:
    """The codec module, if it is compiled."""
    from policyd.client.wire import codec as module  # noqa: PLC0415

    return module


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policy": "bench", "seed": 7},
        {"policy": "", "seed": 0},
        {"policy": "ä" * 50, "version": 0},
        {"version": 2**62, "first_row": 2**63},
        {"alias": "next", "deterministic": True},
        {"alias": "", "deterministic": False, "first_row": 0, "seed": 2**64 - 1},
    ],
)
@pytest.mark.parametrize("shape", [(1, 8), (8,), (0, 4), (200, 8), (2, 3, 4)])
def test_a_plain_request_is_protobufs(codec: Any, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    """A plain request has the same bytes as protobuf's, for any plain array."""
    rows = np.asfortranarray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    assert codec.encode(rows, options) == calls.act(rows, **options).request.SerializeToString()


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**64},
        {"seed": None},
        {"seed": True},
        {"policy": 3},
        {"policy": "\ud800"},
        {"policy": "x" * 5000},
        {"version": 2**63},
        {"version": 1, "alias": "next"},
        {"temperature": 1.0},
        {"action_mask": [[True]]},
        {"space": None},
        {"polcy": "bench"},
    ],
)
def test_what_is_not_plain_is_left_to_protobuf(codec: Any, options: dict[str, Any]) -> None:
    """Other requests are left to protobuf, which says what is wrong."""
    assert codec.encode(ROW, options) is None


@pytest.mark.parametrize("rows", [[[1.0]], np.ones((1, 2)), np.ones((1, 2), ">f4"), np.float32(1), None])
def test_only_arrays_of_float32_are_plain(codec: Any, rows: Any) -> None:
    """Arrays of other types are converted first."""
    assert codec.encode(rows, {}) is None


def test_odd_messages_are_read_as_protobuf_reads_them(codec: Any) -> None:
    """The codec reads the same as protobuf, or leaves it to protobuf. Of 4,000 some are read."""
    chance = random.Random(5)
    assert sum(check_response(codec, chance) for _ in range(2000)) > 100
    assert sum(check_request(codec, chance) for _ in range(2000)) > 100
