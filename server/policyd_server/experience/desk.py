"""Answers the recorder's requests: checks each one, then reads or writes the files.

Requests and responses are bytes of ExperienceService's messages; there are no sockets here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from policy_api.v1 import experience_pb2 as pb
from policyd.counted import counted
from policyd.errors import FailedPrecondition, FieldViolation, InvalidArgument
from policyd.experience.configs import (
    ExperienceConfigs,
    records,
    retention_seconds,
    reward_range,
    silence_seconds,
)
from policyd.experience.facts import EpisodeFacts
from policyd.experience.learned import read_learned
from policyd.experience.recorder import SEALED_AT_ONCE, Index, Recorder
from policyd.experience.sealed import Position
from policyd_server import compiled
from policyd_server.experience.counts import Counts
from policyd_server.experience.evidence import EvidenceDesk
from policyd_server.experience.wire import Method, split

if compiled.AVAILABLE:
    from policyd_server.compiled.index import take as compiled_index

    _INDEX: Index | None = compiled_index
else:
    _INDEX = None

MAX_OUTCOMES = 10_000
MAX_NAMES = {"episode_id": 64, "agent_id": 64, "part": 64}
MAX_VIOLATIONS = 100
#: A configuration is used for this many seconds before its file is read again.
CONFIG_SECONDS = 1.0


Parsed = TypeVar("Parsed", bound=Message)


class Desk:
    """Answers calls with the recorder of one folder."""

    def __init__(self, root: Path) -> None:
        self.recorder = Recorder(root)
        self._root = root
        # by policy: the position up to which observations were deleted
        self._forgotten: dict[str, Position] = {}
        self._configs = ExperienceConfigs(root)
        self._read: dict[str, tuple[float, pb.GetExperienceResponse]] = {}
        self._counts = Counts()
        self._methods: Mapping[int, Callable[[str, bytes], bytes]] = {
            Method.REPORT: self._report,
            Method.GET: self._get,
            Method.CONFIGURE: self._configure,
            Method.DELETE: self._delete,
            Method.EVIDENCE: EvidenceDesk(self.recorder).answer,
        }

    def decide(self, body: bytes | memoryview) -> None:
        """Takes the decisions of one message. Those of policies that do not record are ignored."""
        if _INDEX is not None and not self.recorder.is_full:
            self.recorder.take(body, _INDEX, self._is_recorded)
            return
        recorded: dict[str, bool] = {}
        now = time.time()
        for payload in split(bytes(body)):
            record = pb.DecisionRecord.FromString(payload)
            policy = record.policy
            if policy not in recorded:
                recorded[policy] = self._is_recorded(policy)
            if recorded[policy]:
                self.recorder.decide(record, payload, now)

    def answer(self, method: int, caller: str, request: bytes) -> bytes:
        """Returns the response to one call. Raises errors of `policyd.errors`."""
        return self._methods[method](caller, request)

    def tidy(self) -> bool:
        """Seals silent episodes, and deletes those that are older than their policy's retention.

        Returns whether it should be called again soon, because more episodes are silent.
        """
        self.recorder.seal_complete()
        self.recorder.drop_surplus()
        is_behind = False
        for policy in self._configs.policies():
            config = self._state(policy).config
            is_behind |= self.recorder.seal_silent(policy, silence_seconds(config)) == SEALED_AT_ONCE
            self.recorder.expire(policy, retention_seconds(config))
            if config.HasField("keep_observations") and not config.keep_observations:
                self._forget_observations(policy)
        return is_behind

    def _forget_observations(self, policy: str) -> None:
        """Overwrites the observations of episodes that a job has used or dropped."""
        learned = read_learned(self._root, policy).position
        before = self._forgotten.get(policy, Position())
        if learned > before:
            self._forgotten[policy] = self.recorder.log(policy).forget_observations(before, learned)

    def _report(self, caller: str, request: bytes) -> bytes:
        message = _parsed(pb.ReportOutcomesRequest(), request)
        config = self._state(message.policy).config
        if not records(config):
            raise FailedPrecondition(
                f"policy {message.policy} records no experience: set its mode to RECORD or LEARN",
                reason="EXPERIENCE_OFF",
            )
        _check_outcomes(message, config)
        report = self.recorder.report(message.policy, caller, message.outcomes)
        self._counts.reported(message.policy, report)
        return report.message().SerializeToString()

    def _get(self, _caller: str, request: bytes) -> bytes:
        policy = _parsed(pb.GetExperienceRequest(), request).policy
        answer = pb.GetExperienceResponse()
        answer.CopyFrom(self._configs.read(policy))
        self._counts.fill(answer, policy, self.recorder)
        return answer.SerializeToString()

    def _configure(self, caller: str, request: bytes) -> bytes:
        message = _parsed(pb.SetExperienceConfigRequest(), request)
        if caller:
            message.actor = caller
        answer = self._configs.change(message)
        self._read.pop(message.policy, None)
        return answer.SerializeToString()

    def _delete(self, _caller: str, request: bytes) -> bytes:
        message = _parsed(pb.DeleteEpisodesRequest(), request)
        given = (bool(message.episode_ids), bool(message.subject), message.HasField("before"))
        if sum(given) != 1:
            expected = "exactly one of episode_ids, subject and before"
            raise InvalidArgument.of("episode_ids", got=f"{sum(given)} of the three", wanted=expected)
        deleted = self.recorder.delete(message.policy, _matcher(message))
        return pb.DeleteEpisodesResponse(episodes=deleted).SerializeToString()

    def _is_recorded(self, policy: str) -> bool:
        return records(self._state(policy).config)

    def _state(self, policy: str) -> pb.GetExperienceResponse:
        """The policy's configuration, at most CONFIG_SECONDS old."""
        at, state = self._read.get(policy, (-math.inf, None))
        now = time.monotonic()
        if state is None or now - at > CONFIG_SECONDS:
            state = self._configs.read(policy)
            self._read[policy] = (now, state)
        return state


def _parsed(message: Parsed, data: bytes) -> Parsed:
    """Parses `data` into the message. InvalidArgument: it does not parse."""
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        wanted = f"a serialised {message.DESCRIPTOR.full_name}"
        raise InvalidArgument.of(
            "request", got=f"{counted(len(data), 'bytes')} that do not parse", wanted=wanted
        ) from error
    return message


def _matcher(message: pb.DeleteEpisodesRequest) -> Callable[[EpisodeFacts], bool]:
    """Returns a function that tells whether an episode has to be deleted."""
    if message.episode_ids:
        wanted = frozenset(message.episode_ids)
        return lambda facts: facts.episode_id in wanted
    if message.subject:
        return lambda facts: facts.subject == message.subject
    before = message.before.ToNanoseconds() / 1e9
    return lambda facts: facts.changed < before


def _check_outcomes(message: pb.ReportOutcomesRequest, config: pb.ExperienceConfig) -> None:
    """Raises InvalidArgument, which names the wrong fields, 100 at most."""
    if len(message.outcomes) > MAX_OUTCOMES:
        raise InvalidArgument.of("outcomes", got=len(message.outcomes), wanted=f"at most {MAX_OUTCOMES}")
    low, high = reward_range(config)
    violations: list[FieldViolation] = []
    for index, outcome in enumerate(message.outcomes):
        for field, description in _wrong(outcome, low, high):
            violations.append(FieldViolation(f"outcomes[{index}].{field}", description))
        if len(violations) >= MAX_VIOLATIONS:
            break
    if violations:
        first = violations[0]
        raise InvalidArgument(f"{first.field}: {first.description}", violations=tuple(violations))


def _wrong(outcome: pb.Outcome, low: float, high: float) -> Iterator[tuple[str, str]]:
    """Yields the wrong fields of one outcome, and what came and what was expected."""
    if not outcome.episode_id:
        yield "episode_id", "got none, expected 1 to 64 characters"
    for name, most in MAX_NAMES.items():
        if len(getattr(outcome, name)) > most:
            yield name, f"got {len(getattr(outcome, name))} characters, expected at most {most}"
    if outcome.step < 0:
        yield "step", f"got {outcome.step}, expected 0 or more"
    if not (math.isfinite(outcome.reward) and low <= outcome.reward <= high):
        yield "reward", f"got {outcome.reward:g}, expected {low:g} to {high:g}"
    if outcome.end not in pb.End.values():
        yield "end", f"got {outcome.end}, expected GOES_ON, TERMINATED, TRUNCATED or ABANDONED"
    if bool(outcome.final_observation) != (outcome.end == pb.TRUNCATED):
        came = "one" if outcome.final_observation else "none"
        yield "final_observation", f"got {came}, expected one with TRUNCATED and none otherwise"
    elif len(outcome.final_observation) % 4:
        came = counted(len(outcome.final_observation), "bytes")
        yield "final_observation", f"got {came}, expected little-endian float32 numbers"
    elif not np.isfinite(np.frombuffer(outcome.final_observation, "<f4")).all():
        yield "final_observation", "got NaN or infinity, expected finite numbers"
