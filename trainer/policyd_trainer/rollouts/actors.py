"""Rollout workers as actors of a Ray cluster, on whatever machines have room.

A worker that stands still is ended on its machine. A worker that is lost, also with its machine, is
replaced by one that plays again what the lost one had played since its last snapshot, from the same
weights and noise: the run goes on with the same numbers. Environments that cannot be saved are
played again from their reset, as long as that is little; after that they start anew, as they do
after a checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from policyd.errors import FailedPrecondition, PolicydError
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.seeds import restarted
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.guardian import sentinel
from policyd_trainer.ray_errors import in_one_line
from policyd_trainer.rollouts.cluster import ADDRESS, NODE
from policyd_trainer.rollouts.worker import Answer, Method, Order, RolloutWorker, Share, answered

REPLAYED = 64  # rollouts kept for replay by a new worker
LOSSES = 3  # workers lost in a row: then the environment is the cause, not the machine
ROOM_SECONDS = 60.0  # seconds before the log says that workers wait for room
_LOG = logging.getLogger(__name__)


class RolloutActor:
    """A rollout worker in an actor's main thread, where the watchdog can interrupt environments.

    A sentinel beside it ends an actor that hangs. Ray itself would wait for it.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._worker: RolloutWorker | None = None
        sentinel.start()
        Watchdog(share.config.step_timeout, share.config.env_id).__enter__()  # until the process ends

    def answer(self, method: Method, argument: Answer) -> tuple[bool, Answer]:
        """Calls the method: True and the result, or False and the error.

        The first call makes the environments.
        """
        try:
            self._worker = self._worker or RolloutWorker(self._share)
        except PolicydError as error:
            return False, error
        return answered(self._worker, method, argument)


@dataclass
class _Member:
    """One worker, and what is needed to bring a new one to the same state."""

    share: Share
    actor: Any
    begun: tuple[Method, Answer] = ("reset", 0)
    since: list[Order] = field(default_factory=list)
    losses: int = 0  # since the last response

    def note(self, method: Method, argument: Answer, result: Answer) -> None:
        """Notes that the worker has done this call."""
        self.losses = 0
        if method in ("reset", "restore"):
            self.begun, self.since = (method, argument), []
        elif method == "snapshot" and result is not None:
            self.begun, self.since = ("restore", result), []
        elif method == "collect":
            self.since.append(argument)

    def forget(self) -> None:
        """Forgets what was played: a new worker starts anew, from a seed that no worker had yet."""
        kind, given = self.begun
        seed = given if kind == "reset" else self.share.config.seed
        self.begun, self.since = ("reset", restarted(seed, len(self.since))), []


class ActorCrew:
    """Owns its actors, which end with it or with this process."""

    def __init__(self, shares: Sequence[Share]) -> None:
        """Starts an actor for each share, as soon as there is room.

        Raises:
            FailedPrecondition: there is no cluster.
        """
        _connect()
        self._members = [_Member(share, _started(share)) for share in shares]

    def ask(self, method: Method, arguments: Sequence[Answer]) -> list[Answer]:
        """See `Crew`. A worker that is lost during the call is replaced."""
        calls = [
            member.actor.answer.remote(method, argument)
            for member, argument in zip(self._members, arguments, strict=True)
        ]
        answers = [
            self._answer(member, method, argument, call)
            for member, argument, call in zip(self._members, arguments, calls, strict=True)
        ]
        for done, result in answers:
            if not done:
                raise result
        for member, argument, (_, result) in zip(self._members, arguments, answers, strict=True):
            member.note(method, argument, result)
        if method == "collect" and len(self._members[0].since) >= REPLAYED:
            self._shorten()
        return [result for _, result in answers]

    def close(self) -> None:
        """See `Crew`."""
        for member in self._members:
            ray.kill(member.actor)
        self._members = []

    def _answer(self, member: _Member, method: Method, argument: Answer, call: Any) -> tuple[bool, Answer]:
        while True:
            try:
                return _waited(call)
            except RayActorError as error:
                self._replace(member, error)
                call = member.actor.answer.remote(method, argument)

    def _replace(self, member: _Member, error: RayActorError) -> None:
        """Makes a new worker and brings it to the state of the lost one."""
        while True:
            member.losses += 1
            if member.losses >= LOSSES:
                reason = in_one_line(error)
                raise EnvironmentFailed(f"a rollout worker ended {LOSSES} times in a row: {reason}")
            _LOG.warning("a rollout worker was lost and is replaced; rollouts again: %d", len(member.since))
            with suppress(RayError):  # it may be alive but unreachable
                ray.kill(member.actor)
            member.actor = _started(member.share)
            try:
                for method, argument in (member.begun, *(("collect", order) for order in member.since)):
                    done, result = _waited(member.actor.answer.remote(method, argument))
                    if not done:
                        raise result
            except RayActorError as again:
                error = again
            else:
                return

    def _shorten(self) -> None:
        """Replaces many kept rollouts by a snapshot."""
        saved = self.ask("snapshot", [None] * len(self._members))
        for member, snapshot in zip(self._members, saved, strict=True):
            if snapshot is None:  # the environments cannot be saved
                member.forget()


def _connect() -> None:
    if ray.is_initialized():
        return
    if not (address := os.environ.get(ADDRESS)):
        message = (
            f"rollout_backend: `ray` needs a cluster, and {ADDRESS} names none; jobs of "
            "`--launcher ray` have one, others take `processes`"
        )
        raise FailedPrecondition(message, reason="NO_RAY_CLUSTER")
    node: dict[str, Any] = {"_node_ip_address": where} if (where := os.environ.get(NODE)) else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **node)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        reason = in_one_line(error)
        raise FailedPrecondition(f"the Ray cluster at {address} cannot be used: {reason}") from error


def _started(share: Share) -> Any:
    """A new actor with one processor. Ray spreads the actors over the machines."""
    remote = ray.remote(RolloutActor).options(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")
    return remote.remote(share)


def _waited(call: Any) -> tuple[bool, Answer]:
    """The response of an actor. The log says so if it takes long."""
    told = False
    while True:
        try:
            done, result = ray.get(call, timeout=ROOM_SECONDS)
        except GetTimeoutError:
            if not told:
                _LOG.warning("a rollout worker waits for room in the cluster, or has much to do")
            told = True
        else:
            return bool(done), result
