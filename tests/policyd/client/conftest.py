"""Both clients for the same test.

PolicyClient as it is, AsyncPolicyClient on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from policyd import AsyncPolicyClient, PolicyClient
from policyd.client.wire.endpoints import VARIABLE
from tests.policyd.client.wire.needed import needs_wire
from tests.waiting import PATIENCE


class OnALoop:
    """An asynchronous client or stream whose methods a test can call without `await`."""

    def __init__(self, made: Any, runner: asyncio.Runner) -> None:
        self._made = made
        self._runner = runner

    def __enter__(self) -> OnALoop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._made, name)
        if not callable(member):
            return member

        def call(*arguments: Any, **options: Any) -> Any:
            async def inside() -> Any:  # so that the call runs in the loop
                result = member(*arguments, **options)
                return await result if inspect.isawaitable(result) else result

            result = self._runner.run(inside())
            if inspect.isasyncgen(result):
                return self._each(result)
            return OnALoop(result, self._runner) if hasattr(result, "__aenter__") else result

        return call

    def _each(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(items)

        while True:
            try:
                yield self._runner.run(following())
            except StopAsyncIteration:
                return


Connect = Callable[..., Any]


@pytest.fixture(
    params=["PolicyClient", pytest.param("PolicyClient on grpcio", marks=needs_wire), "AsyncPolicyClient"]
)
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Makes a client with a patient timeout. The test's `with` closes it."""
    if request.param != "AsyncPolicyClient":
        if request.param != "PolicyClient":
            monkeypatch.setenv(VARIABLE, "grpcio")
        yield partial(PolicyClient, timeout=PATIENCE)
        return
    with asyncio.Runner() as runner:
        yield lambda *arguments, **options: OnALoop(
            AsyncPolicyClient(*arguments, **{"timeout": PATIENCE} | options), runner
        )
