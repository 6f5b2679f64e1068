"""Frames between a worker process and the recorder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd_server.experience.wire import (
    BELL,
    CALL,
    DECISIONS,
    HEADER,
    MAX_BODY,
    REPLY,
    Frame,
    Frames,
    encode,
)

frames = st.builds(
    Frame,
    st.sampled_from([DECISIONS, CALL, REPLY, BELL]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 255),
    st.binary(max_size=50),
)


@given(st.lists(frames, max_size=10), st.integers(1, 40))
def test_messages_survive_any_cut_of_the_stream(sent: list[Frame], size: int) -> None:
    """The messages arrive whole and in order, however the socket splits them."""
    stream = b"".join(encode(frame.kind, frame.body, frame.number, frame.code) for frame in sent)
    cutter = Frames()
    pieces = (stream[begin : begin + size] for begin in range(0, len(stream), size))
    assert [frame for piece in pieces for frame in cutter.feed(piece)] == sent


def test_a_message_beyond_the_bound_is_refused_by_its_header() -> None:
    """The size is checked before the bytes are waited for.

    So a damaged header takes no memory.
    """
    with pytest.raises(ValueError, match=f"expected at most {MAX_BODY}"):
        list(Frames().feed(HEADER.pack(MAX_BODY + 1, DECISIONS, 0, 0)))
