"""Starts evaluations from experience, one at a time, and reads what they say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from google.protobuf import json_format

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import FailedPrecondition, InvalidArgument, Unavailable
from policyd.runtime.running_time import timeout
from policyd_server import child_process
from policyd_server.models.resolver import VersionResolver

EPISODES, MOST_EPISODES = 2000, 20_000
LONGEST = 300.0  # seconds


class Evaluator:
    """Evaluates versions in child processes, one at a time."""

    def __init__(self, resolver: VersionResolver, repository: Path | str, experience: Path) -> None:
        """`repository` and `experience`: the locations of both."""
        self._resolver = resolver
        self._repository = repository
        self._experience = experience
        self._one_at_a_time = asyncio.Lock()

    async def evaluate(self, request: pb.EvaluateVersionRequest) -> pb.EvaluateVersionResponse:
        """Returns the verdict.

        Raises NotFound, and FailedPrecondition if the version or the episodes cannot be used.
        """
        if not 0 <= request.max_episodes <= MOST_EPISODES:
            wanted = f"0 to {MOST_EPISODES}"
            raise InvalidArgument.of("max_episodes", got=request.max_episodes, wanted=wanted)
        policy = await self._resolver.policy(request.policy)
        loaded = await self._resolver.version(policy, request.version)
        arguments = (self._repository, self._experience, policy, loaded.version)
        async with self._one_at_a_time:
            return await self._run(*map(str, (*arguments, request.max_episodes or EPISODES)))

    async def _run(self, *arguments: str) -> pb.EvaluateVersionResponse:
        # With vfork and from this thread, as for the recorder: gRPC's threads must not see a fork.
        command = [sys.executable, "-m", "policyd_server.traffic.evaluating", *arguments, str(os.getpid())]
        process = _started(command)
        reading = asyncio.ensure_future(asyncio.to_thread(process.communicate))
        try:
            async with timeout(LONGEST):
                out, err = await asyncio.shield(reading)
        except TimeoutError:
            message = f"the evaluation took longer than {LONGEST:g} s: ask for fewer episodes"
            raise Unavailable(message, retry_after=60.0, reason="TOO_SLOW") from None
        finally:
            await child_process.end(process)
            await asyncio.gather(reading, return_exceptions=True)
        if process.returncode != 0:
            lines = err.decode(errors="replace").strip().splitlines() or ["it ended without a word"]
            raise FailedPrecondition(f"the version cannot be evaluated: {lines[-1]}", reason="NOT_EVALUATED")
        return json_format.Parse(out, pb.EvaluateVersionResponse())


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
