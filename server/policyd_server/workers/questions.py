"""What one worker asks the others to do, such as following a promotion, and what they answer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from policyd.runtime.running_time import wait
from policyd_server.workers.lines import Line
from policyd_server.workers.link import SETTLE
from policyd_server.workers.worker import Worker

ANSWER_SECONDS = 8.0  # for a worker to do what another one asks


class Questions:
    """Passes them between `workers`. None is a worker that is not there at the moment."""

    def __init__(self, workers: Sequence[Worker | None]) -> None:
        self._workers = workers
        self._ids = itertools.count(1)

    async def settle(self) -> None:
        """Returns when every worker shows the health that it was told."""
        number = next(self._ids)
        told = [w.tell(number, SETTLE, "") for w in self._workers if w is not None and w.ready]
        if told:
            await wait(told, ANSWER_SECONDS)

    async def ask_others(self, asking: Worker, line: Line) -> None:
        """Answers with the results of the others that serve, and with those that gave none."""
        number = next(self._ids)
        others = [w for w in self._workers if w is not None and w is not asking and w.ready]
        told = {w: w.tell(number, line["what"], line["of"]) for w in others if w.responds}
        if told:
            await wait(told.values(), ANSWER_SECONDS)
        results = [[w.process.pid, done.result()] for w, done in told.items() if done.done()]
        answered = {pid for pid, _ in results}
        silent = [w.process.pid for w in others if w.process.pid not in answered]
        asking.lines.send({"answered": line["ask"], "results": results, "silent": silent})
