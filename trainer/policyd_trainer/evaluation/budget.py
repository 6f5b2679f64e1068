"""How many environment steps and instances judging the policies of a run may take.

Without a budget, judging can take many times as long as training: there are candidates to compare,
an evaluation, and a gate. The budget is in environment steps, the unit in which training is asked
for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from policyd_trainer.config import TrainingConfig

# The part of the budget that may be spent by the end of each phase.
SELECTION = 0.25  # scores of candidates along the run
RESCORING = 0.5  # scores of the finalists
EVALUATION = 0.75
GATE = 0.95
REPORT = 1.0
FEWEST = 2  # episodes that figures need
FINALS = 12  # times the episodes of one score that the finalists play, about


@dataclass
class Budget:
    """Counts environment steps. One for a whole run."""

    steps: float = math.inf  # that may be spent
    instances: int | None = None  # environments that live at once in judging; None: any number
    is_asked: bool = True  # whether the evaluation's episodes were asked for: then they are not cut
    is_strict: bool = False  # whether `steps` was asked for: then the gate may be left without episodes
    spent: int = 0
    planned: int = 0  # episodes that are going to be played, if the budget allows them; without the gate's
    reserved: int = 0  # episodes of the gate that selection and evaluation must leave room for
    length: float = 0.0  # of an episode, steps: the last mean that was seen
    before_gate: int | None = None  # steps spent when the gate began; None: it has not
    tick: Callable[[], None] = lambda: None  # called before each step: tells, and raises to stop

    @classmethod
    def of(cls, config: TrainingConfig, tick: Callable[[], None] = lambda: None) -> Budget:
        """The budget of a run."""
        asked = "evaluation_episodes" in config.model_fields_set and config.evaluation_steps is None
        steps = config.evaluation_steps or config.total_timesteps
        compared = config.candidates + FINALS if config.candidates > 1 else 0
        planned = 2 * (config.evaluation_episodes + compared * config.selection_episodes)
        instances = config.evaluation_envs or config.n_envs
        strict = config.evaluation_steps is not None
        return cls(steps, instances, is_asked=asked, is_strict=strict, planned=planned, tick=tick)

    @property
    def expected(self) -> float:
        """Steps that selection, evaluation and gate will have taken at their end, about."""
        planned = min(self.steps * EVALUATION, self.planned * self.length)
        before = planned if self.before_gate is None else self.before_gate
        return before + self.reserved * self.length

    def begin_gate(self, episodes: int) -> None:
        """The gate is going to play at least `episodes`, all policies and modes together."""
        if self.before_gate is None:
            self.before_gate = self.spent
        self.reserved = episodes

    @property
    def limit(self) -> int:
        """Steps as the contract tells them; 0: no limit."""
        return 0 if math.isinf(self.steps) else int(self.steps)

    def step(self, running: int) -> None:
        """Before a step of `running` episodes."""
        self.spent += running
        self.tick()

    def played(self, mean_length: float) -> None:
        """Episodes of this mean length have ended: those to come will be about as long."""
        self.length = mean_length

    def episodes(self, wanted: int, *, runs: int, until: float) -> int:
        """As many of the wanted episodes as the budget allows, 0 to `wanted`.

        Args:
            wanted: episodes of each run.
            runs: times that so many episodes are played: modes, policies.
            until: the part of the budget that may be spent then.
        """
        kept = self.reserved * self.length if until < GATE else 0.0
        left = min(self.steps * until, self.steps * max(until, GATE) - kept) - self.spent
        if math.isinf(left) or not self.length:
            return wanted
        return max(0, min(wanted, int(left / (runs * self.length))))

    def side_by_side(self, most: int, *, is_vector: bool) -> int:
        """Episodes to step together; a vector form needs no environment for each."""
        return most if is_vector or self.instances is None else min(most, self.instances)

    def describe(self) -> str:
        """In words, for people."""
        return (
            f"judging the policy and its report take about {self.steps:,.0f} environment steps at most, "
            f"{self.instances} environments at a time (settings evaluation_steps, evaluation_envs)"
            f"{self._at_least}"
        )

    @property
    def _at_least(self) -> str:
        """What the gate plays whatever it takes, unless `steps` was asked for."""
        if self.is_strict or not self.reserved:
            return ""
        return f"; comparing with the champion plays {self.reserved} episodes, even if they take more"
