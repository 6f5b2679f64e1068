"""The thread that copies experience to object storage goes on, whatever it meets."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from policyd.experience.shared import ROOT
from policyd.repository.object_client import ObjectClient
from policyd_server.experience import sharing
from policyd_server.experience.sharing import Sharing
from tests.waiting import until


def test_an_unexpected_error_does_not_end_the_copying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Here somebody made a folder whose name is no text. When it is gone, everything is copied."""
    client = ObjectClient(MemoryStore(), "memory")
    monkeypatch.setattr(sharing, "open_objects", lambda _: client)
    monkeypatch.setattr(sharing, "SECONDS", 0.02)
    caplog.set_level(logging.ERROR)
    strange = os.fsencode(tmp_path) + b"/episodes/\xff"
    os.makedirs(strange)  # noqa: PTH103 -- a path is text
    copying = Sharing(tmp_path, "memory://")
    copying.start()
    try:
        until(lambda: "not in object storage yet" in caplog.text)
        os.rmdir(strange)  # noqa: PTH106 -- as above
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs" / "p.json").write_bytes(b"{}")
        until(lambda: client.get(f"{ROOT}configs/p.json", 100) is not None)
    finally:
        copying.close()
    assert "UnicodeEncodeError" in caplog.text
