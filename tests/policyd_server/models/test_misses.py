"""Requests for what does not exist are cheap, and say nothing about what exists."""

from __future__ import annotations

import asyncio

import pytest

from policyd.errors import NotFound
from policyd_server.models.misses import Misses


async def _search(misses: Misses, version: int | None, searched: list[int | None]) -> None:
    async with misses.bounded("p", version):
        searched.append(version)
        if version != 1:
            raise NotFound(f"no version {version}")


def test_a_miss_hides_no_version_that_exists() -> None:
    """One client keeps asking for a missing version. Another gets the existing one."""
    searched: list[int | None] = []

    async def searches() -> None:
        misses = Misses(lambda: True, lambda _: [1])
        for version in (9, 9, 8, None):
            with pytest.raises(NotFound):
                await _search(misses, version, searched)
        await _search(misses, 1, searched)

    asyncio.run(searches())
    assert searched == [9, 1]


def test_a_folder_is_always_read() -> None:
    """It costs no requests, and what is new there is found at once."""
    searched: list[int | None] = []

    async def searches() -> None:
        misses = Misses(lambda: False, lambda _: [])
        for _ in range(3):
            with pytest.raises(NotFound):
                await _search(misses, 9, searched)

    asyncio.run(searches())
    assert searched == [9, 9, 9]
