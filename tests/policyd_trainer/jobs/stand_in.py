"""A worker process that behaves as its first argument says.

For what no real worker does on demand.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def say(**event: object) -> None:
    """Writes one line of JSON, like a worker."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def succeed() -> None:
    """Writes progress, other output and a result."""
    for step in range(1, 5):
        say(progress={"phase": "TRAINING", "fraction": step / 5, "env_steps": step, "elapsed": f"{step}s"})
    sys.stdout.write("an environment that prints\n")
    say(result={"policy": "cartpole", "version": 1, "promoted": True})


def die() -> None:
    """Dies at the first step in each attempt."""
    say(progress={"phase": "TRAINING", "fraction": 0.1, "elapsed": "1s"})
    sys.stderr.write("about to die\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def die_further() -> None:
    """Gets 0.2 further in each attempt, then dies. Its run folder keeps how far it got."""
    memory = Path(sys.argv[2]) / "memory"
    done = int(memory.read_text()) + 1 if memory.exists() else 1
    memory.write_text(str(done))
    say(progress={"phase": "TRAINING", "fraction": done / 5, "elapsed": "1s"})
    if done == 5:
        say(result={"policy": "cartpole", "version": 1})
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    """Reports a failure and exits with 1."""
    sys.stderr.write("the loss is nan\n")
    say(failure={"reason": "DIVERGED", "message": "the loss is not finite"})
    sys.exit(1)


def hang() -> None:
    """Ignores SIGTERM, has a child that holds its standard output, and never ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    (Path(sys.argv[2]) / "child").write_text(str(child.pid))
    steps = {"env_steps": 10, "total_env_steps": 20}
    say(progress={"phase": "TRAINING", "fraction": 0.5, "elapsed": "1s", **steps})
    time.sleep(1000)


def leave_child() -> None:
    """Ends with a result, but leaves a child that holds its standard output."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    say(result={"policy": "cartpole", "version": 1})


def _start_daemon(**options: object) -> None:
    line = [sys.executable, "-c", "import time; time.sleep(1000)"]
    child = subprocess.Popen(line, start_new_session=True, **options)  # type: ignore[call-overload]
    (Path(sys.argv[2]) / "child").write_text(str(child.pid))
    say(progress={"phase": "TRAINING", "fraction": 0.5, "elapsed": "1s"})


def daemon() -> None:
    """Has a child in another session, and never ends."""
    _start_daemon()
    time.sleep(1000)


def leave_daemon() -> None:
    """Leaves a child without the job's mark, in another session.

    The child holds standard output.
    """
    _start_daemon(env={})
    while not (Path(sys.argv[2]) / "go").exists():
        time.sleep(0.01)
    say(result={"policy": "cartpole", "version": 1})


def chatter() -> None:
    """Prints like a JSON logger around the result, and half a line at the very end."""
    say(event="opened")
    say(result={"policy": "cartpole", "version": 1})
    say(event="closed", episodes=12)
    sys.stdout.write('{"progress": ')
    sys.stdout.flush()


def checkpoint() -> None:
    """Stops at SIGTERM like a worker. The second attempt succeeds."""
    memory = Path(sys.argv[2]) / "memory"
    if memory.exists():
        say(result={"policy": "cartpole", "version": 1})
        return
    signal.signal(signal.SIGTERM, lambda *_: (memory.write_text("here"), sys.exit(143)))
    say(progress={"phase": "TRAINING", "fraction": 0.5, "elapsed": "1s"})
    while True:
        signal.pause()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
