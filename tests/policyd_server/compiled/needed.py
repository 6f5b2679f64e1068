"""What tests of the compiled part need."""

from __future__ import annotations

import pytest

from policyd_server import compiled, front

needs_compiler = pytest.mark.skipif(
    not compiled.AVAILABLE,
    reason="server/compiled was not built: no C compiler when the project was installed",
)
needs_front = pytest.mark.skipif(
    not front.AVAILABLE,
    reason="policyd_server.front is not compiled: libnghttp2-dev or libssl-dev is missing",
)
