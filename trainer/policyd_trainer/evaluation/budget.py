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

# The share of the budget that may be spent by the end of each phase.
SELECTION = 0.25  # scores of candidates along the run
RESCORING = 0.5  # scores of the finalists
EVALUATION = 0.75
GATE = 0.95
REPORT = 1.0
FEWEST = 2  # least episodes that give figures
FINALS = 12  # the finalists together play about so many times the episodes of one score


@dataclass
class Budget:
    """Counts environment steps of selection, evaluation and gate. A run has one."""

    steps: float = math.inf  # that may be spent
    instances: int | None = None  # environments that exist at once; None: any number
    is_asked: bool = True  # evaluation_episodes was set, so it is not cut
    is_strict: bool = False  # evaluation_steps was set, so it may leave the gate no episodes
    spent: int = 0
    planned: int = 0  # episodes that will be played if the budget allows, without the gate's
    reserved: int = 0  # episodes for which selection and evaluation leave room: the gate's
    length: float = 0.0  # mean steps of the episodes that ended last
    before_gate: int | None = None  # steps spent when the gate began; None: it has not begun
    tick: Callable[[], None] = lambda: None  # called before each step: reports progress, and raises to stop

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
        """About how many steps selection, evaluation and gate will have taken at their end."""
        planned = min(self.steps * EVALUATION, self.planned * self.length)
        before = planned if self.before_gate is None else self.before_gate
        return before + self.reserved * self.length

    def begin_gate(self, episodes: int) -> None:
        """Reserves `episodes`, the least that the gate will play, over all policies and modes."""
        if self.before_gate is None:
            self.before_gate = self.spent
        self.reserved = episodes

    @property
    def limit(self) -> int:
        """The limit in steps as the contract states it; 0: no limit."""
        return 0 if math.isinf(self.steps) else int(self.steps)

    def step(self, running: int) -> None:
        """Counts a step of `running` episodes, before it is taken."""
        self.spent += running
        self.tick()

    def played(self, mean_length: float) -> None:
        """Notes the mean length of the episodes that just ended, to estimate later ones."""
        self.length = mean_length

    def episodes(self, wanted: int, *, runs: int, until: float) -> int:
        """How many of the wanted episodes the budget allows, from 0 to `wanted`.

        Args:
            wanted: episodes of each run.
            runs: how many times they are played: once per mode and policy.
            until: the share of the budget that may be spent by their end.
        """
        kept = self.reserved * self.length if until < GATE else 0.0
        left = min(self.steps * until, self.steps * max(until, GATE) - kept) - self.spent
        if math.isinf(left) or not self.length:
            return wanted
        return max(0, min(wanted, int(left / (runs * self.length))))

    def side_by_side(self, most: int, *, is_vector: bool) -> int:
        """How many episodes to step together. With a vector form they need no environment each."""
        return most if is_vector or self.instances is None else min(most, self.instances)

    def describe(self) -> str:
        """The budget in words, for people."""
        return (
            f"judging the policy and its report take about {self.steps:,.0f} environment steps at most, "
            f"{self.instances} environments at a time (settings evaluation_steps, evaluation_envs)"
            f"{self._at_least}"
        )

    @property
    def _at_least(self) -> str:
        """What the gate plays even if it exceeds the budget, unless `evaluation_steps` was set."""
        if self.is_strict or not self.reserved:
            return ""
        return f"; comparing with the champion plays {self.reserved} episodes, even if they take more"
