"""The process between a trainer and Ray: orders come in as JSON lines, lines of jobs go out.

`python -P -m policyd_trainer.jobs.on_ray ADDRESS NAMESPACE`. It holds nothing that is needed again:
when it ends, another one follows the same actors from the lines that the trainer has seen.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import IO, Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from policyd.runtime.running_time import timeout
from policyd_trainer.jobs.on_ray.actor import JobActor
from policyd_trainer.jobs.worker import MAX_LINE
from policyd_trainer.ray_errors import in_one_line

_CALLS = 8  # calls that an actor runs at once: a waiting `lines`, signals
_PACE = 0.5  # seconds between two calls to one actor: 100 jobs cost half a core
_PAUSE = 1.0  # seconds before a new call to an actor that could not be reached
_LOOK = 2.0  # seconds between two checks of the cluster
_PATIENCE = 30.0  # seconds that the cluster may take to respond


class Bridge:
    """Follows actors, each in a task of its own."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._actors: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, orders: asyncio.StreamReader) -> None:
        """Runs until the trainer closes its end."""
        self._say(ready=True, nodes=sum(node["Alive"] for node in ray.nodes()))
        async for line in orders:
            order = json.loads(line)
            if order["do"] == "sweep":  # comes before any order to start an actor
                await self._sweep(order["keep"])
                continue
            task = asyncio.create_task(self._obey(order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _obey(self, order: Mapping[str, Any]) -> None:
        name = order["name"]
        try:
            match order["do"]:
                case "follow":
                    await self._follow(name, order)
                case "signal":
                    await self._signal(name, order["number"])
                case "kill":
                    await self._kill(name)
        except (RayError, ValueError, RuntimeError, ConnectionError) as error:
            self._say(name=name, gone=in_one_line(error))

    async def _follow(self, name: str, order: Mapping[str, Any]) -> None:
        """Finds the actor, or starts it if the order says so, and passes on its lines."""
        actor = await asyncio.to_thread(_found, name)
        if actor is None and order["start"] is not None:
            actor = await asyncio.to_thread(_started, name, order["start"], order["resources"])
        if actor is None:
            self._say(name=name, gone="it is not in the cluster any more")
            return
        self._actors[name] = actor
        pid, ran = await _reached(actor.begin.remote)
        self._say(name=name, started=pid, ran=ran)
        seen, code = order["seen"], None
        while code is None:
            lines, code = await _reached(lambda: actor.lines.remote(seen))  # noqa: B023 -- awaited here
            for number, line in lines:
                seen = number
                self._say(name=name, number=number, line=line)
            if code is None:
                await asyncio.sleep(_PACE)  # meanwhile the actor keeps only the newest progress
        self._say(name=name, ended=code)

    async def _sweep(self, keep: Collection[str]) -> None:
        for name in await asyncio.to_thread(ray.util.list_named_actors):
            if name not in keep:
                await self._kill(name)

    async def _signal(self, name: str, number: int) -> None:
        actor = self._actors.get(name)
        if actor is not None:
            await actor.send_signal.remote(number)

    async def _kill(self, name: str) -> None:
        actor = self._actors.pop(name, None) or await asyncio.to_thread(_found, name)
        if actor is not None:
            await asyncio.to_thread(ray.kill, actor)

    def _say(self, **fields: object) -> None:
        self._out.write(json.dumps(fields) + "\n")
        self._out.flush()


async def _reached(call: Callable[[], Awaitable[Any]]) -> Any:
    """The response of an actor. Repeats the call while the actor cannot be reached."""
    while True:
        try:
            return await call()
        except ActorUnavailableError:
            await asyncio.sleep(_PAUSE)


def _found(name: str) -> Any | None:
    try:
        return ray.get_actor(name)
    except ValueError:
        return None


def _started(name: str, order: dict[str, Any], resources: Mapping[str, Any]) -> Any:
    """A new actor, which goes on after this process has ended.

    It waits in the cluster until there is room for it.
    """
    options = {key: value for key, value in resources.items() if value}
    remote = ray.remote(JobActor).options(
        name=name, get_if_exists=True, lifetime="detached", max_concurrency=_CALLS, max_restarts=0, **options
    )
    return remote.remote(order)


async def serve(address: str, namespace: str, out: IO[str]) -> None:
    """Connects to the cluster and carries out orders.

    Raises:
        ConnectionError: there is no cluster at the address, or it was lost.
    """
    ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    running, lost = asyncio.create_task(Bridge(out).run(orders)), asyncio.create_task(_until_lost())
    done, _ = await asyncio.wait((running, lost), return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _until_lost() -> None:
    """Raises an error when the cluster no longer responds.

    Ray's client may lose its connection and leave calls waiting for ever. That happens also if it
    has connected again, to a new head that knows nothing of these calls. The next bridge starts
    afresh.
    """
    while True:
        await asyncio.sleep(_LOOK)
        try:
            async with timeout(_PATIENCE):
                await asyncio.to_thread(ray.util.list_named_actors)
        except TimeoutError:
            raise ConnectionError(f"the cluster has not answered for {_PATIENCE:g} s") from None
        except RayError as error:
            raise ConnectionError(f"the connection to the cluster is lost: {in_one_line(error)}") from None
