"""`make bench-gpu`: see the package. With `--quick` it ends in seconds on a CPU."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), *(str(ROOT / name) for name in ("proto", "trainer", "server"))]

import torch  # noqa: E402

from benchmarks.gpu import cells, checks, report  # noqa: E402

LAST_CELL = 20.0  # seconds reserved for the cell that runs when the time is over
WRITING = 5.0  # seconds reserved for the files and the chart


def main() -> int:
    """Returns exit code 0, or 1 if a check does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run to its end?")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which it has ended")
    parser.add_argument("--out", type=Path, default=Path("bench-gpu"), help="folder of the results")
    options = parser.parse_args()
    bench = Bench(options.out, torch.device(options.device), options.quick)
    end = bench.began + options.minutes * 60
    bench.end_at(end - WRITING)
    bench.run(end - LAST_CELL)
    return bench.finish()


class Bench:
    """One run of the benchmark. If a measurement hangs, `end_at` still writes the results."""

    def __init__(self, out: Path, device: torch.device, quick: bool) -> None:
        self.began = time.monotonic()
        self._out, self._device, self._quick = out, device, quick
        self._sizes = cells.QUICK if quick else cells.Sizes()
        self._machine = report.machine(device)
        self._checks: list[dict[str, object]] = []
        self._findings = cells.Findings([name for name, _ in cells.cells(self._sizes, device)])
        self._writing = threading.Lock()  # taken once: only the first caller writes

    def run(self, deadline: float) -> None:
        """Runs the checks, then each cell. No cell begins after `deadline`."""
        if self._quick:
            torch.set_num_threads(1)  # the tensors are small
        print(", ".join(f"{name}: {value}" for name, value in self._machine.items()), flush=True)
        if self._device.type != "cuda":
            print("There is no GPU here: these are a CPU's figures, and say nothing about one.", flush=True)
        for check in checks.run(self._device):
            self._checks.append(check)
            holds = {True: "holds", False: "DOES NOT HOLD", None: "-"}[check["holds"]]  # type: ignore[index]
            print(f"{check['check']!s:28} {holds}: {check['seen']}", flush=True)
        cells.run(self._sizes, self._device, deadline, self._findings)

    def end_at(self, moment: float) -> None:
        """Ends the process at `moment` and writes the results.

        It is needed because a measurement may hang in a driver.
        """

        def end() -> None:
            print("The time is over.", flush=True)
            os._exit(self.finish())

        timer = threading.Timer(max(0.0, moment - time.monotonic()), end)
        timer.daemon = True
        timer.start()

    def finish(self) -> int:
        """Writes JSON and chart. Returns the exit code."""
        self._writing.acquire()  # never released: the process ends
        self._findings.cut()
        results = dict(self._findings.results)
        ratios = report.ratios(results, self._sizes.middle)
        for name, ratio in ratios.items():
            print(f"{ratio:.2f} times the {name}", flush=True)
        content = {
            "machine": self._machine,
            "quick": self._quick,
            "checks": self._checks,
            "results": results,
            "ratios": ratios,
            "not_run": dict(self._findings.omitted),
            "seconds": time.monotonic() - self.began,
        }
        for path in report.write(self._out, content):
            print(path, flush=True)
        return int(any(check["holds"] is False for check in self._checks))


if __name__ == "__main__":
    sys.exit(main())
