from collections.abc import Mapping
from typing import Any

def encode(observations: Any, options: Mapping[str, Any]) -> bytes | None:
    """Returns a serialised ActRequest.

    None: protobuf has to write it, or to say what is wrong. `observations` are then no float32
    array, or an option is another than policy, version, alias, seed, first_row and deterministic,
    or has an unusual value.
    """

def decode(response: bytes, batch: int) -> dict[str, Any] | None:
    """Returns the fields of Actions from a serialised ActResponse to `batch` rows.

    None: protobuf has to read it. It has then other rows, or another form than a server of ours
    gives it.
    """

def encode_streamed(observations: Any, options: Mapping[str, Any], pin: Any, unpin: Any) -> bytes | None:
    """As `encode`, for a StreamActRequest."""

def decode_streamed(response: bytes, batch: int) -> tuple[dict[str, Any], bool] | None:
    """As `decode`, of a StreamActResponse. The second is whether the stream is pinned."""
