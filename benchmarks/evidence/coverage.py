"""How often intervals hold the truth, and how often wrong probabilities are caught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.evidence.worlds import COVERED, LONG, WRONG, Scenario, draw, true_return
from policyd.evidence.intervals import Interval
from policyd.evidence.off_policy import Verdict, evaluate

ESTIMATES = ("ips", "self_normalised_ips", "doubly_robust", "difference")  # intervals of exactly 95%
NAMES = (*ESTIMATES, "sequence")  # the last is valid at each look, so it holds the truth more often


@dataclass
class Coverage:
    """What the estimates said about one scenario's logs."""

    scenario: Scenario
    verdicts: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)  # per interval: logs with a verdict that it held
    caught: int = 0  # logs whose mean weight showed that the probabilities are wrong
    widths: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NAMES})

    @property
    def logs(self) -> int:
        """Logs that were drawn."""
        return self.verdicts.total()

    @property
    def decided(self) -> int:
        """Logs whose verdict is not CANNOT_TELL."""
        return self.verdicts[Verdict.BETTER] + self.verdicts[Verdict.WORSE]

    @property
    def good(self) -> bool:
        """Whether the scenario's claim holds: caught, distrusted, or covered in 93 to 97%."""
        if self.scenario in WRONG:
            return self.caught >= 0.99 * self.logs
        if self.scenario.distrusted:
            return self.decided == 0
        return all(0.93 <= self.held[name] / max(1, self.decided) <= 0.97 for name in ESTIMATES)


def measure(count: int, covered: int, seed: int) -> Iterator[Coverage]:
    """Measures `covered` logs of each scenario with a known return, and `count` of each other."""
    for number, scenario in enumerate((*COVERED, *LONG, *WRONG)):
        known = scenario in COVERED
        target = true_return(scenario, scenario.target) if known else 0.0
        acted = true_return(scenario, scenario.acted) if known else 0.0
        found = Coverage(scenario)
        for trial in range(covered if known else count):
            # A number of its own for each scenario: with the same draws their errors would agree.
            evaluation = evaluate(draw(scenario, np.random.default_rng([seed, trial, number])))
            assert evaluation is not None
            found.verdicts[evaluation.verdict] += 1
            found.caught += evaluation.mean_weight_unexplained
            if evaluation.verdict == Verdict.CANNOT_TELL:
                continue
            for name in NAMES:
                interval: Interval = getattr(evaluation, name)
                truth = target - acted if name in ("difference", "sequence") else target
                found.held[name] += interval.low <= truth <= interval.high
                found.widths[name].append(interval.high - interval.low)
        yield found
