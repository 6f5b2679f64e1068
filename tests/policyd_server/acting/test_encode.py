"""Answers that are written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray, StreamActResponse
from policyd_server.acting import encode
from policyd_server.models.version import LoadedVersion
from tests.policyd_server.conftest import Load

seeds = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def version(load: Load) -> LoadedVersion:
    return load("cartpole")


@settings(deadline=None)
@given(
    rows=st.integers(1, 2**32 - 1),
    seed=seeds,
    columns=st.dictionaries(
        st.sampled_from(["actions", "action_probs", "log_probs", "values", "vectors", "gaussian_samples"]),
        st.binary(min_size=1, max_size=300),
    ),
    pinned=st.booleans(),
)
def test_hand_written_answers_are_protobufs(
    version: LoadedVersion, rows: int, seed: int, columns: dict[str, bytes], pinned: bool
) -> None:
    """Raw responses can be parsed as their messages, alone and in a stream."""
    answer = encode.raw_answer(version, rows, seed, columns)
    arrays = {
        name: IntArray(raw=data) if name == "actions" else FloatArray(raw=data)
        for name, data in columns.items()
    }
    expected = ActResponse(
        policy="cartpole",
        version=version.version,
        digest=version.digest,
        batch_size=rows,
        seed=seed,
        **arrays,  # type: ignore[arg-type]  # each name has a type of its own
    )
    assert ActResponse.FromString(answer) == expected
    streamed = StreamActResponse.FromString(encode.stream_answer(answer, pinned=pinned))
    assert streamed == StreamActResponse(response=expected, pinned=pinned)
