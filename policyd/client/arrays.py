"""What a caller passes, as arrays that a message takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from policyd.errors import InvalidArgument

_FLOAT32 = np.dtype("<f4")
_NUMBERS = "biuf"  # numpy's kinds: bool, integers, floats


def float32(field: str, numbers: Any, wanted: str) -> NDArray[np.float32]:
    """Returns `numbers` as a little-endian float32 array, in their own shape.

    Raises InvalidArgument, which names `field`, if they are not numbers or too large for float32.
    """
    if isinstance(numbers, np.ndarray) and numbers.dtype == _FLOAT32:
        return numbers
    array = _array(field, numbers, wanted)
    try:  # np.errstate would cost more than the rest of a small request
        return array.astype(_FLOAT32)
    # where warnings are not errors, it becomes infinite, and the server refuses it
    except RuntimeWarning as error:
        raise InvalidArgument.of(field, got=str(error), wanted="numbers that float32 holds") from error


def booleans(mask: Any) -> NDArray[np.bool_]:
    """Returns an action mask [batch, n]. It takes booleans, or numbers that are 0 or 1."""
    wanted = "an array of booleans [batch, number of actions]"
    array = _array("action_mask", mask, wanted)
    allowed: NDArray[np.bool_] = array.astype(np.bool_)
    if array.dtype != np.bool_ and (allowed != array).any():
        raise InvalidArgument.of("action_mask", got=f"{array[allowed != array].flat[0]}", wanted=wanted)
    return allowed


def why_not_an_array(error: Exception) -> str:
    """Returns in a few words why numpy cannot make an array of something."""
    told = " ".join(str(error).split())
    return "rows of different lengths" if "inhomogeneous" in told else told[:200]


def _array(field: str, numbers: Any, wanted: str) -> NDArray[Any]:
    """Returns an array of whatever numpy accepts: lists, tensors on the CPU, data frames."""
    try:
        array = np.asarray(numbers)
    except Exception as error:
        got = f"{type(numbers).__name__} ({why_not_an_array(error)})"
        raise InvalidArgument.of(field, got=got, wanted=wanted) from error
    if array.dtype.kind not in _NUMBERS:
        raise InvalidArgument.of(field, got=_kind(numbers, array), wanted=wanted)
    return array


def _kind(value: Any, array: NDArray[Any]) -> str:
    """Returns the type of a value that is not numbers, and the type of its elements."""
    kind = "None" if value is None else type(value).__name__
    if array.ndim == 0:
        return kind
    if array.dtype != np.object_:
        return f"{kind} of {array.dtype.type.__name__.rstrip('_')}"
    odd = (type(each).__name__ for each in array.flat if not isinstance(each, (int, float)))
    return f"{kind} of {next(odd, 'whole numbers of more than 64 bits')}"
