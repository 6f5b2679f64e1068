"""One request on its way through the batcher, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from policyd_server.models.version import LoadedVersion
from policyd_server.sampling import Bool


class Decision(NamedTuple):
    """Answers to all rows of a ticket."""

    # By ActResponse's field: little-endian, row-major, as they go out; int64 `actions`, otherwise
    # float32.
    columns: dict[str, bytes]


@dataclass(eq=False, slots=True)
class Ticket:
    """A decoded request.

    Ends with exactly one of `decision` and `error` set, and `done` called once.
    """

    model: LoadedVersion
    observations: bytes  # float32 [B, *shape]
    rows: int
    seed: int = 0
    first_row: int = 0  # sampling index of the first row
    deterministic: bool = False
    temperature: float = 1.0
    mask: Bool | None = None  # [B, the head's mask_width]
    # Called in the batcher's thread once the ticket has ended.
    done: Callable[[Ticket], None] = lambda _: None
    # Where nobody waits any more (cancelled, deadline passed): dropped before inference.
    abandoned: Callable[[], bool] = lambda: False
    queued_at: float = 0.0  # time.perf_counter()
    called_at: float = 0.0  # the same, when the last call of ONNX Runtime for its rows began
    decision: Decision | None = None
    error: Exception | None = None  # one that is not of the domain is logged where the call is known
    # Of a ticket that is answered in several calls: rows taken so far, and their answers.
    taken: int = 0
    parts: list[Decision] = field(default_factory=list)

    @property
    def reweighted(self) -> bool:
        """Whether the probabilities differ from those that the graph gives."""
        return self.mask is not None or self.temperature != 1.0

    def answer(self, part: Decision, rows: int) -> None:
        """Takes the answers to the next `rows` rows; ends the ticket with the last."""
        if rows < self.rows:
            self.parts.append(part)
            if self.taken < self.rows:
                return
            part = _joined(self.parts)
        self.decision = part
        self.end()

    def fail(self, error: Exception) -> None:
        """Ends the ticket without an answer."""
        self.error = error
        self.end()

    def end(self) -> None:
        """Calls `done`, and lets go of it: it holds what holds the ticket.

        Else a garbage collection would have to free the observations.
        """
        done, self.done = self.done, _nothing
        done(self)


def _nothing(_: Ticket) -> None:
    """What is called for a ticket that has ended."""


def _joined(parts: list[Decision]) -> Decision:
    return Decision({name: b"".join(part.columns[name] for part in parts) for name in parts[0].columns})
