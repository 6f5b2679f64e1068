"""The compiled draws are those that `policyd.sampling` computes row by row.

docs/guide/sampling.md specifies them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd import sampling as scalar
from policyd_server import compiled
from policyd_server.heads.draws import Draws, Piece
from policyd_server.sampling import Float32
from tests.policyd_server.compiled.needed import needs_compiler

if compiled.AVAILABLE:
    from policyd_server.compiled.choice import decide

pytestmark = needs_compiler

u64 = st.integers(0, 2**64 - 1)
weights = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4).filter(lambda w: sum(w) > 0)
pieces = st.lists(st.builds(Piece, u64, u64, st.integers(1, 4), st.booleans()), min_size=1, max_size=6)


@given(asked=pieces, data=st.data())
def test_each_row_gets_what_the_definition_gives(asked: list[Piece], data: st.DataObject) -> None:
    """Any seeds, indices (modulo 2^64) and modes give the defined actions.

    Logarithms agree to one step of float32.
    """
    rows = [(piece, index) for piece in asked for index in range(piece.rows)]
    table = data.draw(st.lists(weights, min_size=len(rows), max_size=len(rows)))
    actions, log_probs = decide(np.array(table, np.float32), asked)
    for (piece, index), row, action, log_prob in zip(rows, table, actions, log_probs, strict=True):
        place = (piece.first_index + index) & scalar.MASK64
        wanted = scalar.mode(row) if piece.deterministic else scalar.sample(row, piece.seed, place)
        assert action == wanted
        assert log_prob == pytest.approx(math.log(row[wanted]), rel=2**-23, abs=2**-149)


@given(asked=pieces, data=st.data())
def test_arrays_give_the_same(asked: list[Piece], data: st.DataObject) -> None:
    """numpy, used where nothing is compiled, gives the same actions."""
    from policyd_server.heads import categorical  # noqa: PLC0415  its choice in numpy

    rows = sum(piece.rows for piece in asked)
    probs = np.array(data.draw(st.lists(weights, min_size=rows, max_size=rows)), np.float32)
    assert decide(probs, asked)[0].tolist() == categorical.choose(probs, Draws(asked), 0).tolist()


@pytest.mark.parametrize("row", [[0, 0], [math.nan, math.nan], [0, math.nan], [-1, 0]])
@pytest.mark.parametrize("deterministic", [False, True])
def test_what_is_no_distribution_is_an_error(row: list[float], deterministic: bool) -> None:
    """Without a positive probability nothing is chosen. Nothing outside the array is read."""
    probs: Float32 = np.array([[1, 0], row], np.float32)
    with pytest.raises(ValueError, match="without a positive probability"):
        decide(probs, [Piece(1, 0, 2, deterministic)])


def test_rounding_that_leaves_no_index_takes_the_last_possible_one() -> None:
    """With subnormal probabilities, u * total may round up to the total."""
    tiny = np.float32(1e-45)
    probs = np.array([[tiny, tiny, 0]] * 200, np.float32)
    actions, _ = decide(probs, [Piece(5, 0, 200, deterministic=False)])
    assert actions.tolist() == [scalar.sample(probs[0].tolist(), 5, row) for row in range(200)]


def test_more_rows_than_probabilities_are_an_error() -> None:
    """Arrays that do not fit their call are refused before anything is read."""
    with pytest.raises(ValueError, match="more than 2 rows"):
        decide(np.full((2, 2), 0.5, np.float32), [Piece(0, 0, 3, deterministic=False)])
