"""The demo from start to end: exit code 0 only if every step happened."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from examples.demo.failure import DemoFailure
from examples.stack import ProcessFailure, Stack, StackSettings
from policyd.errors import PolicydError


def main() -> int:
    """Runs the demo in a folder of its own. Returns the exit code."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with policyctl's output
    for name in [name for name in os.environ if name.startswith("POLICYD_")]:
        del os.environ[name]  # they may belong to another trainer and server
    home = Path(".demo").resolve()
    home.mkdir(exist_ok=True)
    stack = Stack(StackSettings(Path(tempfile.mkdtemp(prefix="run-", dir=home))))
    try:
        with contextlib.closing(stack):
            stack.begin()
            steps = importlib.import_module("examples.demo.steps")  # while the two start
            with stack:
                steps.Demo(stack).run()
    except (DemoFailure, ProcessFailure, PolicydError) as failure:
        return _failed(stack, str(failure))
    except KeyboardInterrupt:
        return _failed(stack, "interrupted", code=130)
    return _stopped(stack, time.monotonic() - began)


def _failed(stack: Stack, message: str, code: int = 1) -> int:
    print(
        f"\ndemo: {message}\ndemo: no process is left; logs lie in {stack.settings.folder}", file=sys.stderr
    )
    return code


def _stopped(stack: Stack, seconds: float) -> int:
    codes = ", ".join(f"{name} exit code {code}" for name, code in stack.exit_codes.items())
    print(f"\nBoth processes stopped: {codes}.")
    if any(stack.exit_codes.values()):
        return _failed(stack, "a process did not stop cleanly")
    print(f"All of it happened, in {seconds:.0f} s.")
    return 0
