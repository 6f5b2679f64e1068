"""`make soak`: the whole crash matrix, several times. Prints the table; exit code 1 if anything did not hold.

python -m tests.e2e.crash [REPETITIONS] [ENV_ID]
"""

import random
import sys
import tempfile
from pathlib import Path

from tests.e2e.crash.matrix import PHASES, VICTIMS, table, trial
from tests.e2e.crash.system import System

LONGEST_DELAY = 0.1  # seconds between the sight of a phase and the kill


def main(repetitions: int, env_id: str) -> int:
    """Every victim at every phase, `repetitions` times each, in random order."""
    cells = [(victim, phase) for victim in VICTIMS for phase in PHASES] * repetitions
    random.shuffle(cells)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="policyd-crash-") as folder:
        system = System(Path(folder))
        try:
            for number, (victim, phase) in enumerate(cells, start=1):
                delay = random.choice([0, random.uniform(0, LONGEST_DELAY)])
                outcome = trial(system, victim, phase, delay=delay, env_id=env_id)
                outcomes.append(outcome)
                held = "; ".join(outcome.wrong) or "held"
                sys.stdout.write(
                    f"{number}/{len(cells)} {victim} at {phase} (died in {outcome.died_in}, "
                    f"{outcome.attempts} attempts, {outcome.seconds:.1f} s): {held}\n"
                )
                sys.stdout.flush()
        finally:
            system.close()
    sys.stdout.write(table(outcomes) + "\n")
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    sys.exit(main(int(given.get(1, "3")), given.get(2, "CartPole-v1")))
