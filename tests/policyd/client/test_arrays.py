"""What is no array of numbers is refused with an error of ours that names the field."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from policyd.client.arrays import booleans, float32
from policyd.errors import InvalidArgument


class Breaks:
    """numpy cannot read it."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("the device is\ngone")


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([[1.0, 2.0], [3.0]], "got list (rows of different lengths), expected numbers"),
        ("red", "got str, expected numbers"),
        (["red"], "got list of str, expected numbers"),
        ([[1.0, Decimal(2)]], "got list of Decimal, expected numbers"),
        ([2**70], "got list of whole numbers of more than 64 bits, expected numbers"),
        (None, "got None, expected numbers"),
        (Breaks(), "got Breaks (the device is gone), expected numbers"),
        ([1e300], "expected numbers that float32 holds"),
    ],
)
def test_no_numbers_are_refused(numbers: Any, told: str) -> None:
    """Ragged lists, words, nothing, an object that fails, and too large numbers are refused."""
    with pytest.raises(InvalidArgument) as raised:
        float32("observation", numbers, "numbers")
    assert "observation: " in raised.value.message
    assert told in raised.value.message


def test_numbers_become_little_endian_float32() -> None:
    """Numbers keep their shape. An array that is already float32 is not copied."""
    array = float32("observations", [[1, 2], [3, 4]], "numbers")
    assert (array.dtype.str, array.shape) == ("<f4", (2, 2))
    assert float32("observations", array, "numbers") is array


def test_a_mask_is_booleans() -> None:
    """A mask is booleans, or numbers that are 0 or 1."""
    assert booleans([[1, 0]]).tolist() == [[True, False]]
    with pytest.raises(InvalidArgument, match="action_mask: got 2"):
        booleans([[1, 2]])
