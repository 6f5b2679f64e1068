"""The contestants that run during a benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.contestants import CONTESTANTS, Contestant, Workplace, ready
from benchmarks.serving.processes import Running


@dataclass
class Server:
    """A contestant that is running, and the size of its responses."""

    contestant: Contestant
    place: Workplace
    batches: list[int]
    running: Running
    answer_bytes: dict[int, int] = field(default_factory=dict)
    restarts: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it takes calls without TLS, and promotions."""
        return self.running.authority is None

    def check(self) -> None:
        """Waits for the first responses and checks them. Raises InvalidAnswer if one is wrong."""
        self.answer_bytes = ready(self.contestant, self.running, self.place, self.batches)

    def restart_if_ended(self) -> bool:
        """Starts a peer again if it has ended by itself, and says whether it had.

        Triton 2.51 may crash when requests are cancelled, and h2load cancels what is in flight at
        the end of each measurement. Our own servers are not restarted: they have to live.
        """
        if self.contestant.kind != "peer" or not self.running.exited():
            return False
        print(f"{self.contestant.name} ended: {self.running.log_tail()}", flush=True)
        self.restarts += 1
        self.running.stop()
        self.running = self.contestant.start(
            _folder(self.contestant.name, self.place, self.restarts), self.place
        )
        self.check()
        return True

    def stop(self) -> None:
        """Stops what runs now."""
        self.running.stop()


@contextmanager
def standing(names: Sequence[str], batches: list[int], place: Workplace) -> Iterator[list[Server]]:
    """Starts the contestants, waits until all respond, and stops them at the end."""
    with ExitStack() as stack:
        servers = []
        for name in names:
            print(f"starting {name}", flush=True)
            running = CONTESTANTS[name].start(_folder(name, place), place)
            servers.append(Server(CONTESTANTS[name], place, batches, running))
            stack.callback(servers[-1].stop)
            servers[-1].check()
        yield servers


def _folder(name: str, place: Workplace, restarts: int = 0) -> Path:
    """A folder for each start. Triton's Python backend does not start from a path with a space."""
    return place.folder / f"{name.replace(' ', '-')}-{restarts}"
