"""Numbers in JSON to float32 and JSON to bytes, for the few numbers of a small request.

numpy takes longer to look at four numbers than to compute with thousands.
"""

from __future__ import annotations

import json
import struct
from itertools import chain
from typing import Any

#: Writes JSON as Starlette does. It is shared, because creating an encoder costs as much as using
#: it.
JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_WHOLE = 2**63  # numpy takes no larger whole numbers


def floats_of(given: Any) -> bytes | None:
    """Returns numbers, or rows of numbers, as float32. None: something else, or too large.

    A caller that gets None converts with numpy, and says what is wrong.
    """
    if type(given) is not list or not given:
        return None
    if type(given[0]) is list:
        if set(map(type, given)) != {list} or len(set(map(len, given))) != 1:
            return None
        given = list(chain.from_iterable(given))
    kinds = set(map(type, given))
    if not kinds <= {float, int} or (int in kinds and not -_WHOLE < min(given) <= max(given) < _WHOLE):
        return None
    try:
        return struct.pack(f"<{len(given)}f", *given)
    except (OverflowError, struct.error):
        return None
