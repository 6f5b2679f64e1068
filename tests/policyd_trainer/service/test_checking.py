"""Checking a request runs the environment aside, within limits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from policyd.errors import InvalidArgument, PolicydError, Unavailable, UnsupportedSpace
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.service.ceilings import Ceilings
from policyd_trainer.service.checking import Checker


def configuration(**settings: object) -> tuple[TrainingConfig, dict[str, str]]:
    texts = {name: json.dumps(value) for name, value in settings.items()}
    return resolve_config("p", "CartPole-v1", "a2c", 0, texts), texts


def wrapper(name: str, **kwargs: object) -> list[dict[str, object]]:
    return [{"entry_point": f"gymnasium.wrappers:{name}", "kwargs": kwargs}]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_what_fits_is_accepted_and_what_does_not_is_named() -> None:
    """The errors are those of the process itself, and one for too much memory."""

    async def test() -> None:
        checker = Checker(seconds=60)
        await checker.check(*configuration())
        with pytest.raises(InvalidArgument, match="env_kwargs"):
            await checker.check(*configuration(env_kwargs={"wind": 1}))
        with pytest.raises(InvalidArgument, match=r"took more than 1,024 MiB of memory|Unable to allocate"):
            await checker.check(
                *configuration(wrappers=wrapper("FrameStackObservation", stack_size=20_000_000))
            )
        with pytest.raises(PolicydError) as raised:
            await checker.check(*configuration(wrappers=wrapper("DiscretizeObservation", bins=10**9)))
        assert raised.value.reason != "INTERNAL"
        assert isinstance(raised.value, InvalidArgument | UnsupportedSpace | PolicydError)

    run(test())


def test_a_check_ends_in_time_and_with_the_trainer() -> None:
    """A check ends at its deadline, or at once when the trainer stops. Later ones are refused."""

    async def test() -> None:
        slow = configuration(wrappers=wrapper("TimeLimit", max_episode_steps=5))
        hurried = Checker(seconds=0.0)
        with pytest.raises(InvalidArgument, match="took longer than 0 s"):
            await hurried.check(*slow)
        checker = Checker(seconds=600)
        waiting = asyncio.create_task(checker.check(*slow))
        for _ in range(10):  # so that the task begins
            await asyncio.sleep(0)
        began = time.monotonic()
        checker.close()
        await asyncio.gather(waiting, return_exceptions=True)
        assert time.monotonic() - began < 60
        with pytest.raises(Unavailable):
            await checker.check(*slow)

    run(test())


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"total_timesteps": 10**18}, "total_timesteps"),
        ({"n_envs": 65_536}, "n_envs"),
        ({"step_timeout": 1e300}, "step_timeout"),
        ({"env_kwargs": {"render_mode": "human"}}, "env_kwargs"),
        ({"evaluation_steps": 10**18}, "evaluation_steps"),
    ],
)
def test_ceilings(settings: dict[str, object], field: str) -> None:
    """A job may not ask for more than the operator allows, nor for a window."""
    config, _ = configuration(**settings)
    with pytest.raises(InvalidArgument) as raised:
        Ceilings(max_env_steps=10**9).check(config)
    assert raised.value.violations[0].field == f"settings[{field}]"
    Ceilings().check(configuration()[0])
