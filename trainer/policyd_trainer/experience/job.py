"""A continuous job: batch, update, parity, publish, alias, again, until it is asked to stop.

After each batch a checkpoint says what was learned and from which episodes, before anything is
published. So a job that is killed at any moment goes on where it was: no episode counts twice, and
none is left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from policy_api.v1.training_pb2 import TrainingProgress, TrainingResult
from policyd.errors import FailedPrecondition, Retryable
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.experience import state as states
from policyd_trainer.experience.batches import Correction
from policyd_trainer.experience.config import LearnConfig, check_gate
from policyd_trainer.experience.evidence import EvidenceGate
from policyd_trainer.experience.exclusive import only_learner
from policyd_trainer.experience.first import publish_first
from policyd_trainer.experience.held_out import HeldOut
from policyd_trainer.experience.judging import Judge
from policyd_trainer.experience.learning import LivePolicy, config_of
from policyd_trainer.experience.options import JobOptions
from policyd_trainer.experience.pruning import prune
from policyd_trainer.experience.publishing import Publisher
from policyd_trainer.experience.reading import EpisodeReader
from policyd_trainer.experience.recent_aliases import RecentAliases
from policyd_trainer.experience.result import result_of
from policyd_trainer.experience.rules import PolicyRules, ages
from policyd_trainer.experience.selection import Candidate
from policyd_trainer.experience.source import Source
from policyd_trainer.experience.spaces import first_config, spaces_of
from policyd_trainer.experience.state import LearningState
from policyd_trainer.experience.telling import LearningClock
from policyd_trainer.runs.training import Stopped

PRUNE_EVERY = 8  # versions
RETRY_SECONDS = 2.0  # seconds between attempts to publish while the repository is unavailable or full
logger = logging.getLogger(__name__)


class ContinuousJob:
    """Learns one policy from the log of its sealed episodes."""

    def __init__(
        self,
        repository: ModelRepository,
        source: Source,
        options: JobOptions,
        config: LearnConfig,
        clock: LearningClock,
    ) -> None:
        self._repository, self._source, self._options = repository, source, options
        self._config, self._clock = config, clock
        self._policy, self._alias = options.policy, options.promotion.alias
        self._rules = PolicyRules(source.root, options.policy)
        check_gate(config, options.env_id)
        self._evidence = self._evidence_gate()
        self._aliases = RecentAliases(repository, options.policy)
        self.state = LearningState()

    def _evidence_gate(self) -> EvidenceGate | None:
        """The gate that uses recorded episodes.

        None if there is no gate, or if the gate plays an environment.
        """
        config = self._config
        if config.evidence == "off":
            return None
        held_out = HeldOut(self._source.log, config.held_out, time.time())
        unsure = config.evidence == "promote"
        return EvidenceGate(held_out, lambda: self._rules.now, self._alias, unsure=unsure)

    def run(self, stop: Callable[[], bool]) -> TrainingResult:
        """Learns until `max_steps` are reached.

        Raises:
            Stopped: `stop` returned true. With the same folder, a new run goes on from there.
            FailedPrecondition: there is no version to start from, or another job learns the policy.
            Diverged, ParityFailed: see there. Versions already published stay.
        """
        with only_learner(self._source.root, self._policy):
            self._begin()
            self._clock.tell(self.state, at_once=True)
            if self.state.published < self.state.batches and self._is_due:
                self._publish(np.zeros((0, self._live.spaces.encoder.size), np.float32), stop)
            while not self._is_done:
                candidates = self._collect(stop)
                if candidates:
                    self._learn(candidates, stop)
            self._clock.tell(self.state, at_once=True)
        return result_of(self._repository, self._policy, self._alias, self.state)

    @property
    def _is_done(self) -> bool:
        return self._config.max_steps is not None and self.state.steps >= self._config.max_steps

    @property
    def _is_due(self) -> bool:
        """Whether a version is to be published after the last batch."""
        return self.state.batches % self._config.publish_every == 0 or self._is_done

    @property
    def _first_segment(self) -> int:
        """The oldest segment of the log that is still read."""
        position = self.state.position
        return position.segment if self._evidence is None else self._evidence.held_out.first_segment(position)

    def _begin(self) -> None:
        """Loads the checkpoint if it belongs to the version that the alias names.

        Otherwise it loads that version.
        """
        self._aliases.forget()
        saved = None if self._options.run_dir is None else states.load(self._options.run_dir)
        if saved is not None:
            self.state = saved[0]
        else:
            self.state = LearningState()
        start = self._start()
        if saved is None:
            self._begin_after(start)
        live, publisher = self._built(start)
        pending = saved is not None and self.state.published < self.state.batches
        goes_on = saved is not None and (start.version == self.state.version or pending)
        if saved is None or not goes_on or not live.put_back(saved[1]):
            self._load(live, start)
        self._live, self._publisher = live, publisher

    def _begin_after(self, start: PublishedVersion) -> None:
        """Sets the state to begin after the episodes that earlier jobs learned from.

        Their file and the version each say how far that was. The one that is further counts.
        """
        known = (
            self._source.learned(),
            states.learned_until(self._repository, start, self._source.log),
        )
        fresh = LearningState.after(max(known, key=lambda learned: learned.position))
        fresh.newest, fresh.versions = self.state.newest, self.state.versions
        self.state = fresh

    def _start(self) -> PublishedVersion:
        """The version that the alias names.

        If the alias does not exist and the spaces are known, publishes an untrained version first.
        """
        named = self._aliases.read().aliases.get(self._alias)
        if named is not None:
            return self._repository.verify(self._policy, named)
        asked = self._options
        if asked.spaces is None:
            message = (
                f"{self._policy} has no alias {self._alias} to start from: publish a version first, or give "
                "the policy's spaces"
            )
            raise FailedPrecondition(message, reason="NO_VERSION")
        config = first_config(
            self._policy, asked.algorithm, asked.seed, asked.settings, asked.spaces, asked.env_id
        )
        first = publish_first(self._repository, self._policy, self._alias, config, asked.spaces, asked.job_id)
        self.state.newest, self.state.versions = first.version, self.state.versions + 1
        self._aliases.forget()
        return first

    def _built(self, version: PublishedVersion) -> tuple[LivePolicy, Publisher]:
        """Untrained weights of the version's shape, and what would publish them.

        They replace the job's own only once trained weights are in them: a repository that fails
        meanwhile must not leave the job with untrained ones.
        """
        asked, own = self._options, self._config
        config = config_of(version.metadata, asked.settings, algorithm=asked.algorithm, env_id=asked.env_id)
        correction = Correction(own.correction, own.rho_bar, own.c_bar, own.max_shift)
        live = LivePolicy(config, spaces_of(version.metadata, config), correction)
        judge = Judge(config, live, asked.promotion) if asked.env_id else None
        return live, Publisher(
            self._repository, self._policy, asked.promotion, asked.job_id, judge, self._evidence
        )

    def _load(self, live: LivePolicy, version: PublishedVersion) -> None:
        """Loads a version's weights, to go on from them with the episodes that are still new."""
        live.load(self._repository, version)
        self.state.version, self.state.published = version.version, self.state.batches
        live.steps = self.state.learned().steps

    def _collect(self, stop: Callable[[], bool]) -> list[Candidate]:
        """Collects episodes for one batch, and waits if there are too few.

        Afterwards the state's position is after the last of them.
        """
        reader = None
        while True:
            if stop():
                raise Stopped
            with suppress(Retryable):  # the repository is unavailable; the next loop tries again
                if self._follow_operator() or reader is None:  # the version may have other spaces
                    kept_apart = 0.0 if self._evidence is None else self._config.held_out
                    log, position = self._source.log, self.state.position
                    reader = EpisodeReader(log, position, self._live.spaces, kept_apart)
                self._source.look(self._first_segment)
                rules = self._rules.now
                if rules.may_learn:
                    reader.look(self._config.batch_steps, rules, ages(self._aliases.read(), self._alias))
                if reader.steps >= self._config.batch_steps:
                    self.state.position = reader.position
                    return reader.take(rules, self.state.dropped)
                self._pass_by(reader)
            self._clock.wait(self.state)
            time.sleep(self._config.poll_seconds)  # another process writes the file, maybe on another machine

    def _pass_by(self, reader: EpisodeReader) -> None:
        """Moves the position on if nothing up to the reader's is of use, and counts that."""
        if reader.steps or reader.position == self.state.position:
            return
        reader.count(self.state.dropped)
        self.state.position = reader.position
        self._save()
        if self.state.published == self.state.batches:  # else a job without this folder would miss a batch
            self._source.tell(self.state.learned())

    def _learn(self, candidates: list[Candidate], stop: Callable[[], bool]) -> None:
        sequences = [candidate.sequence for candidate in candidates]
        self._live.learn(sequences)
        self.state.steps += sum(map(len, sequences))
        self.state.episodes += len(sequences)
        self.state.batches += 1
        self._save()
        self._clock.learned([float(sequence.rewards.sum()) for sequence in sequences])
        self._clock.tell(self.state)
        if self._is_due:
            self._publish(np.concatenate([sequence.observations for sequence in sequences]), stop)

    def _publish(self, visited: np.ndarray, stop: Callable[[], bool]) -> None:
        """Publishes a version and moves the alias to it.

        Tries again while the repository is unavailable or full.
        """

        def tick() -> None:
            self._clock.tell(self.state, TrainingProgress.COMPARING)
            if stop():
                raise Stopped

        while True:
            try:
                return self._publish_once(visited, tick)
            except Retryable as error:
                logger.warning("not published yet: %s", error.message)
            until = time.monotonic() + RETRY_SECONDS
            while time.monotonic() < until:
                if stop():
                    raise Stopped
                time.sleep(min(self._config.poll_seconds, RETRY_SECONDS))

    def _publish_once(self, visited: np.ndarray, tick: Callable[[], None]) -> None:
        published = self._publisher.publish(self._live, self.state, visited, tick)
        state = self.state
        if state.newest != published.version:
            state.newest, state.versions = published.version, state.versions + 1
        state.newest_batches = state.batches
        promoted = self._publisher.promote(published, state)
        state.published = state.batches
        if promoted:
            state.version = published.version
        self._aliases.forget()
        self._save()
        self._source.tell(state.learned())
        self._follow_operator()
        self._clock.tell(state, at_once=True)
        if state.versions % PRUNE_EVERY == 0:
            prune(
                self._repository, self._source.root, self._policy, state.position, self._config.keep_versions
            )

    def _follow_operator(self) -> bool:
        """Goes on from the version that the alias names, if somebody else moved the alias.

        Returns whether that was so.
        """
        named = self._aliases.read().aliases.get(self._alias)
        if named is None or named == self.state.version:
            return False
        logger.info("%s names version %s now: learning goes on from that", self._alias, named)
        version = self._repository.verify(self._policy, named)
        live, publisher = self._built(version)
        self._load(live, version)
        self._live, self._publisher = live, publisher
        self._save()
        return True

    def _save(self) -> None:
        if self._options.run_dir is not None:
            states.save(self._options.run_dir, self.state, self._live.capture())
