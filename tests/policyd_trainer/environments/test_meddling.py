"""What an environment replaced in the whole process is named, and put back."""

from __future__ import annotations

import os
import os.path

import pytest

from policyd_trainer.environments import meddling


@pytest.mark.parametrize(
    ("owner", "name", "told"),
    [(os, "path", "os.path"), (os.path, "join", "posixpath.join"), (os, "replace", "os.replace")],
)
def test_what_was_replaced_is_named_and_put_back(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, told: str
) -> None:
    """That holds for a module inside of a module, too."""
    before = getattr(owner, name)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, None)
        found = meddling.found()
        meddling.undo()
        assert getattr(owner, name) is before
    assert told in found
