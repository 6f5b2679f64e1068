"""The benchmark's servers end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = """
import signal, sys
life = open(sys.argv[1], "w")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("serves", file=life, flush=True)
signal.sigwait([signal.SIGTERM])
print("stopped in order", file=life, flush=True)
"""
BENCHMARK = """
import pathlib, sys, time
from benchmarks.serving import processes
folder = pathlib.Path(sys.argv[1])
processes.stop_in_order()
running = processes.start([[sys.executable, "-c", sys.argv[2], sys.argv[3]]], log=folder / "log", cwd=folder)
try:
    print("waits", flush=True)
    while True:
        time.sleep(0.1)  # a signal just before signal.pause() would not end it
finally:
    running.stop()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="dying with the parent is Linux's prctl")
@pytest.mark.parametrize(
    ("number", "last_words", "code"),
    [
        (signal.SIGTERM, "stopped in order\n", 128 + signal.SIGTERM),
        (signal.SIGINT, "stopped in order\n", 128 + signal.SIGINT),
        (signal.SIGKILL, "", -signal.SIGKILL),
    ],
)
def test_a_server_ends_with_the_benchmark(
    tmp_path: Path, number: signal.Signals, last_words: str, code: int
) -> None:
    """SIGTERM and SIGINT stop the server in order. After SIGKILL of the benchmark it is killed."""
    life = tmp_path / "life"  # ends when no process has it open any more
    os.mkfifo(life)
    command = [sys.executable, "-c", BENCHMARK, str(tmp_path), SERVER, str(life)]
    folder = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as benchmark:
        with life.open() as words:
            assert words.readline() == "serves\n"
            assert benchmark.stdout is not None
            assert benchmark.stdout.readline() == "waits\n"
            benchmark.send_signal(number)
            assert words.read() == last_words
        assert benchmark.wait() == code
