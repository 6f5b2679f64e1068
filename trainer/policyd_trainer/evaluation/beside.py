"""A process that scores candidates while the learner goes on, in the order in which they come.

It gives the scores that the training process would have given: it has a budget and a selection of
its own, which begin as the run's and see the same candidates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, fields
from typing import Any

from policyd.runtime.running_time import waits
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.evaluation.candidates import Candidate, judge
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.selection import Selection
from policyd_trainer.rollouts.processes import ProcessCrew

START = 30.0  # seconds that the process may still take to start if the run ends meanwhile
PATIENCE = 5.0  # seconds that a score may still take if it is no longer needed
LOOK = 0.2  # seconds between two checks whether the run is to stop


@dataclass(frozen=True)
class Scored:
    """The score of a candidate, and the state of the budget after it."""

    score: float
    spent: int
    length: float


@dataclass(frozen=True)
class ScoringTask:
    """What the scoring process gets when it starts."""

    config: TrainingConfig
    budget: Mapping[str, Any]  # the run's budget, without its `tick`
    selection: Selection

    def worker(self) -> ScoringWorker:
        """See `Task`."""
        return ScoringWorker(self)


class ScoringWorker:
    """Scores candidates, one after the other."""

    def __init__(self, task: ScoringTask) -> None:
        info = inspect(task.config)
        specs = network_specs(task.config, info.encoder.layout, info.codec.distribution)
        self._evaluator = Evaluator(task.config, info, specs, Budget(**task.budget))
        self._selection = task.selection

    def score(self, candidate: Candidate) -> Scored:
        """Scores one candidate."""
        score = judge(self._evaluator, self._selection, candidate)
        budget = self._evaluator.budget
        return Scored(score, budget.spent, budget.length)

    def close(self) -> None:
        """See `Worker`."""
        self._evaluator.close()


@dataclass
class BesideScorer:
    """Owns the scoring process. Updates the run's `selection` and `budget` with each score."""

    config: TrainingConfig
    selection: Selection
    budget: Budget
    _waiting: deque[tuple[Candidate, Future[Scored]]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        numbers = {each.name: getattr(self.budget, each.name) for each in fields(Budget)}
        del numbers["tick"]
        task = ScoringTask(self.config, numbers, Selection(list(self.selection.ranked)))
        self._thread = ThreadPoolExecutor(1, "score-beside")  # only waits for the process
        self._crew = self._thread.submit(ProcessCrew, [task])

    @property
    def pending(self) -> tuple[Candidate, ...]:
        """The candidates that have no score yet, in their order."""
        return tuple(candidate for candidate, _ in self._waiting)

    def offer(self, candidate: Candidate) -> None:
        """Has the candidate scored, after those offered before it."""
        self._waiting.append((candidate, self._thread.submit(self._score, candidate)))

    def gather(self) -> None:
        """Takes in the scores that have arrived. Raises what the worker raised."""
        while self._waiting and self._waiting[0][1].done():
            candidate, future = self._waiting.popleft()
            scored = future.result()
            self.selection.offer(scored.score, candidate.snapshot)
            self.budget.spent, self.budget.length = scored.spent, scored.length

    def finish(self) -> None:
        """Waits for all scores. The budget's `tick` may stop the wait."""
        while self._waiting:
            wait([self._waiting[0][1]], LOOK)
            self.budget.tick()
            self.gather()

    def close(self) -> None:
        """Ends the process. A score that is no longer needed is dropped."""
        for _, future in self._waiting:
            future.cancel()
        _wait([self._crew], START)
        _wait([future for _, future in self._waiting], PATIENCE)
        if self._crew.done() and self._crew.exception() is None:
            self._crew.result().close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _score(self, candidate: Candidate) -> Scored:
        (scored,) = self._crew.result().ask("score", [candidate])
        assert isinstance(scored, Scored), "the worker returns one"
        return scored


def _wait(futures: Sequence[Future[Any]], seconds: float) -> None:
    for left in waits(seconds):
        if not wait(futures, left).not_done:
            return
