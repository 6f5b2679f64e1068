"""One request on its way through the batcher, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from policyd_server.models.version import LoadedVersion
from policyd_server.sampling import Bool


class Decision(NamedTuple):
    """The actions for all rows of a ticket."""

    # By field of ActResponse: little-endian and row-major, as it is sent. `actions` is int64, all
    # others are float32.
    columns: dict[str, bytes]


@dataclass(eq=False, slots=True)
class Ticket:
    """A decoded request.

    At its end, exactly one of `decision` and `error` is set, and `done` has been called once.
    """

    model: LoadedVersion
    observations: bytes  # float32 [B, *shape]
    rows: int
    seed: int = 0
    first_row: int = 0  # sampling index of the first row
    deterministic: bool = False
    temperature: float = 1.0
    mask: Bool | None = None  # [B, the head's mask_width]
    # Called in the batcher's thread when the ticket has ended.
    done: Callable[[Ticket], None] = lambda _: None
    # True if nobody waits any more (cancelled, or the deadline has passed). The ticket is then
    # dropped before inference.
    abandoned: Callable[[], bool] = lambda: False
    queued_at: float = 0.0  # time.perf_counter()
    called_at: float = 0.0  # the same, when the last call of ONNX Runtime for its rows began
    decision: Decision | None = None
    error: Exception | None = None  # an unexpected one is logged where the call is known
    # For a ticket that is answered in several calls: the rows taken so far, and their results.
    taken: int = 0
    parts: list[Decision] = field(default_factory=list)

    @property
    def reweighted(self) -> bool:
        """Whether a mask or a temperature changes the graph's probabilities."""
        return self.mask is not None or self.temperature != 1.0

    def answer(self, part: Decision, rows: int) -> None:
        """Adds the results for the next `rows` rows. The last ones end the ticket."""
        if rows < self.rows:
            self.parts.append(part)
            if self.taken < self.rows:
                return
            part = _joined(self.parts)
        self.decision = part
        self.end()

    def fail(self, error: Exception) -> None:
        """Ends the ticket with an error."""
        self.error = error
        self.end()

    def end(self) -> None:
        """Calls `done` and removes it from the ticket.

        `done` refers to objects that refer to the ticket. With such a cycle, only a garbage
        collection would free the observations.
        """
        done, self.done = self.done, _nothing
        done(self)


def _nothing(_: Ticket) -> None:
    """The `done` of a ticket that has ended."""


def _joined(parts: list[Decision]) -> Decision:
    return Decision({name: b"".join(part.columns[name] for part in parts) for name in parts[0].columns})
