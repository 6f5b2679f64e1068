"""The health of the whole server: a service serves if all workers say so. Each worker shows it."""

from __future__ import annotations

from collections.abc import Sequence

from policyd_server.workers.worker import Worker


class SharedHealth:
    """Combines the health of `workers`. None is a worker that is not there at the moment."""

    def __init__(self, workers: Sequence[Worker | None]) -> None:
        self._workers = workers
        self._shown: dict[str, bool] = {}

    def show(self, *services: str) -> None:
        """Tells every worker what has changed, of all services if none is named."""
        for service in services or {name for w in self._workers if w is not None for name in w.health}:
            serving = all(w is not None and w.serves(service) for w in self._workers)
            if self._shown.get(service) is not serving:
                self._shown[service] = serving
                for worker in self._workers:
                    if worker is not None:
                        worker.lines.send({"service": service, "serving": serving})

    def tell(self, worker: Worker) -> None:
        """Sends the status of every service to a new worker."""
        for service, serving in self._shown.items():
            worker.lines.send({"service": service, "serving": serving})
