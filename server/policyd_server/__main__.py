"""`policyd-server` and `python -m policyd_server`."""

from __future__ import annotations

import os

# The server does not compute with numpy's BLAS, and its threads would only cost memory. The
# variable is read once, when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without this, ONNX Runtime would store a device id and report usage.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# The poller that gRPC for Python used up to 1.79. It makes 4 context switches per request, its
# successor 10.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_poller_for_python")
# Without this, gRPC's core would write a line for each malformed request.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from policyd.runtime.commands import run_service
from policyd.runtime.memory import bound_heap


def main() -> None:
    """The command. Prints one line if the extra `server` is not installed."""
    bound_heap()
    run_service("policyd-server", "policyd_server.command:serve_command", extra="server")


if __name__ == "__main__":
    main()
