from collections.abc import Mapping
from typing import Any

def encode(observations: Any, options: Mapping[str, Any]) -> bytes | None:
    """Returns a serialised ActRequest.

    None: only protobuf can write it, or say what is wrong. Then `observations` are not a float32
    array, or an option is not one of policy, version, alias, seed, first_row and deterministic, or
    an option has an unusual value.
    """

def decode(response: bytes, batch: int) -> dict[str, Any] | None:
    """Returns the fields of Actions from a serialised ActResponse to `batch` rows.

    None: protobuf has to read it. Then it has another number of rows, or another form than our
    server writes.
    """

def encode_streamed(observations: Any, options: Mapping[str, Any], pin: Any, unpin: Any) -> bytes | None:
    """As `encode`, for a StreamActRequest."""

def decode_streamed(response: bytes, batch: int) -> tuple[dict[str, Any], bool] | None:
    """As `decode`, for a StreamActResponse. The second item is whether the stream is pinned."""
