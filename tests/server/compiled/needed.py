"""What tests of the compiled part need."""

from __future__ import annotations

import pytest

from server import compiled

needs_compiler = pytest.mark.skipif(
    not compiled.AVAILABLE,
    reason="server/compiled was not built: no C compiler when the project was installed",
)
