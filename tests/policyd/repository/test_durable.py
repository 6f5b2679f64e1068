"""Locks on files."""

from __future__ import annotations

import threading
from pathlib import Path

from policyd.repository.durable import locked_meanwhile


def test_a_lock_that_leaves_no_file_excludes_all_others(tmp_path: Path) -> None:
    """Of many that wait for it one is in the block at a time, and the last one leaves no file."""
    path = tmp_path / "lock"
    inside: list[int] = []

    def change() -> None:
        for _ in range(200):
            with locked_meanwhile(path):
                inside.append(1)
                seen.add(len(inside))
                inside.pop()

    seen: set[int] = set()
    threads = [threading.Thread(target=change) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1}
    assert not path.exists()
