"""Plain requests in C: reading, sampling and writing without a Python object per row.

hatch_build.py compiles it where there is a C compiler. Without it the server gives the same
answers, more slowly: everything goes through tickets and arrays.
"""

from importlib.util import find_spec

AVAILABLE = all(
    find_spec(f"{__name__}.{module}") is not None
    for module in ("blake2b", "choice", "crc32", "dealt", "index", "records", "ring", "rows")
)
