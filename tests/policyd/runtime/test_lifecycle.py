"""What a service's process tells and hears."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policyd.runtime.lifecycle import STOP_SIGNALS, ignore_stop_signals, port_file, stop_signal


def test_the_port_file_is_there_while_the_service_is(tmp_path: Path) -> None:
    """The file has the address, replaces an earlier one, and is removed with the service."""
    path = tmp_path / "port"
    path.write_text("127.0.0.1:1\n")
    with port_file(path, "127.0.0.1:50051"):
        assert path.read_text() == "127.0.0.1:50051\n"
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_took_away_is_no_error(tmp_path: Path) -> None:
    """Removing the file by hand is no error. Without a path nothing is written."""
    with port_file(tmp_path / "port", "127.0.0.1:50051"), port_file(None, "127.0.0.1:50051"):
        (tmp_path / "port").unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_named_pipe_gets_the_address(tmp_path: Path) -> None:
    """A process that made the pipe can wait for the service by reading it. The pipe stays."""
    os.mkfifo(path := tmp_path / "port")
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(path.read_text)
        with port_file(path, "127.0.0.1:50051"):
            assert reading.result(60) == "127.0.0.1:50051\n"
    assert path.is_fifo()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    """Both signals ask the service to end, and neither ends it at once."""

    async def told() -> None:
        stop = stop_signal()
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(stop.wait(), 60)
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(each)

    asyncio.run(told())


def test_signals_after_the_end_change_nothing() -> None:
    """Signals between the end of the event loop and the end of the process have no effect."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        ignore_stop_signals()
        for number in STOP_SIGNALS:
            os.kill(os.getpid(), number)
        assert {signal.getsignal(number) for number in STOP_SIGNALS} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
