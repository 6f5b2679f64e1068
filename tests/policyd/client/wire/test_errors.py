"""The compiled core raises what grpcio raises."""

from __future__ import annotations

import math
from typing import Any

import pytest

from policyd import PolicyClient, errors
from policyd.client.wire.endpoints import VARIABLE
from tests.policyd.client.wire.needed import needs_wire

pytestmark = needs_wire

VIOLATION = errors.FieldViolation("rows[3]", "got ä, expected 1")
FAILURES = [
    errors.InvalidArgument("rows: 100 % wrong\n", violations=(VIOLATION, VIOLATION), reason="ODD"),
    errors.NotFound("no policy ä; there are: ö"),
    errors.AlreadyExists("taken"),
    errors.PermissionDenied("no"),
    errors.Unauthenticated("who?"),
    errors.FailedPrecondition("not now", reason="EPISODE_ENDED"),
    errors.Conflict("changed"),
    errors.Exhausted("full", retry_after=2.5),
    errors.Exhausted("never", retry_after=math.inf),
    errors.Unavailable("away", retry_after=0.25),
    errors.DeadlineExceeded("too late"),
    errors.Unimplemented("later"),
    errors.Internal("the work failed", reason="BROKEN"),
    errors.Internal("x" * 5000),
]


def _raised(address: str) -> tuple[Any, ...]:
    with PolicyClient(address, timeout=60) as client, pytest.raises(errors.PolicydError) as caught:
        client.set_alias("cartpole", 1)
    error = caught.value
    more = (getattr(error, name, None) for name in ("violations", "retry_after"))
    return type(error), error.message, error.reason, *more


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.reason + failure.message[:9])
def test_an_error_is_the_same(
    address: str, peer: Any, failure: errors.PolicydError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kind, message, reason, fields and retry delay equal those of grpcio."""
    peer.fail_with = failure
    compiled = _raised(address)
    monkeypatch.setenv(VARIABLE, "grpcio")
    assert compiled == _raised(address)
