"""Where versions share an alias, C chooses as Python does, whatever the bytes are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActRequest, Decision
from policyd_server import compiled
from policyd_server.acting.dealing import PlainDealt
from policyd_server.models.splits import Dealer, Split
from tests.policyd_server.compiled.needed import needs_compiler

if compiled.AVAILABLE:
    from policyd_server.compiled import dealt

pytestmark = needs_compiler

BEFORE = b"names and numbers"
VERSIONS: list[Any] = ["base", "one", "two", "three"]
MEANT: dict[Any, Any] = {version: f"the request for {version}" for version in VERSIONS}

u64 = st.integers(0, 2**64 - 1)
keys = st.text(max_size=130) | st.text(st.characters(max_codepoint=0x7F), max_size=130)
decisions = st.builds(Decision, episode_id=keys, agent_id=st.text(max_size=5), step=st.integers(-1, 2**40))
requests = st.builds(
    ActRequest,
    seed=st.none() | u64,
    first_row=u64,
    deterministic=st.booleans(),
    decisions=st.lists(decisions, max_size=3),
    traffic_key=st.just("") | st.text(max_size=3),
)
splits = st.builds(
    lambda shares, salt, drawn: Split(
        VERSIONS[0], tuple(zip(shares, VERSIONS[1:], strict=False)), salt, Dealer(lambda: drawn)
    ),
    st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=3),
    st.text(max_size=200),
    st.floats(0.0, 1.0, exclude_max=True),
)


def both(split: Split, payload: bytes) -> tuple[Any, Any]:
    """What C and Python choose."""
    behind = len(BEFORE)
    return dealt.Dealt(behind, split, MEANT).pick(payload), PlainDealt(behind, split, MEANT).pick(payload)


@given(splits, requests)
def test_the_choice_is_pythons(split: Split, request: ActRequest) -> None:
    """C and Python choose the same, by key or at random, or both leave the request to protobuf."""
    compiled_choice, choice = both(split, BEFORE + request.SerializeToString())
    assert compiled_choice == choice


@given(splits, requests, st.data())
def test_the_choice_is_pythons_for_damaged_requests(split: Split, request: ActRequest, data: Any) -> None:
    """With missing, changed or additional bytes they choose the same, and never raise."""
    payload = bytearray(BEFORE + request.SerializeToString())
    begin = data.draw(st.integers(0, len(payload)))
    payload[begin : begin + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    compiled_choice, choice = both(split, bytes(payload))
    assert compiled_choice == choice


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_request_that_is_cut_short_is_left_to_protobuf(cut: int) -> None:
    """Protobuf says what is wrong, and the loop goes on."""
    whole = ActRequest(decisions=[Decision(episode_id="an episode")]).SerializeToString()
    split = Split(VERSIONS[0], ((0.5, VERSIONS[1]),), "salt")
    assert both(split, BEFORE + whole[:-cut]) == (None, None)


def test_a_key_goes_where_every_server_sends_it() -> None:
    """C gives every key its version, also if keys and salts exceed one block of the hash."""
    for size in (1, 60, 127):
        for salt in ("s", "s" * 100, "s" * 300):
            split = Split(VERSIONS[0], ((0.4, VERSIONS[1]), (0.3, VERSIONS[2])), salt)
            for number in range(50):
                key = f"{number}".rjust(size, "k")[-size:]
                payload = BEFORE + ActRequest(decisions=[Decision(episode_id=key)]).SerializeToString()
                assert both(split, payload) == (MEANT[split.pick(key)],) * 2
