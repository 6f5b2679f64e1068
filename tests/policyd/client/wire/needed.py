"""What tests of the client's compiled core need."""

from __future__ import annotations

import pytest

from policyd.client import wire

needs_wire = pytest.mark.skipif(
    not wire.AVAILABLE, reason="policyd.client.wire is not compiled: libnghttp2-dev is missing"
)
