"""Whether a store honours conditional writes, without which writers lose each other's changes."""

from __future__ import annotations

import uuid

from policyd.errors import FailedPrecondition
from policyd.repository.object_client import ObjectClient


def require_conditions(client: ObjectClient) -> None:
    """Tests each kind of conditional write on an object of its own.

    Raises FailedPrecondition if the store overwrites although the condition fails, or does not
    write although it holds.
    """
    key = f"staging/probe-{uuid.uuid4().hex}"
    try:
        first = client.put(key, b"first")
        honoured = not client.create(key, b"other")
        second = client.put(key, b"second")
        honoured = honoured and not client.replace(key, b"stale", first)
        honoured = honoured and client.replace(key, b"third", second)
    finally:
        client.delete(key)
    if not honoured:
        message = (
            f"{client.location} does not honour conditional writes (If-None-Match, If-Match), so it would "
            "lose changes: use a store that does"
        )
        raise FailedPrecondition(message, reason="STORE_WITHOUT_CONDITIONS")
