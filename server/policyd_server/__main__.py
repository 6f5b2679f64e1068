"""`policyd-server` and `python -m policyd_server`."""

from __future__ import annotations

import os

# numpy's BLAS is not what computes here; its threads would only cost memory. Read once, at numpy's
# import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# ONNX Runtime would otherwise keep a device id and report usage.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# gRPC's poller for Python up to 1.79: 4 context switches a request where its successor makes 10.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_poller_for_python")
# gRPC's core writes a line of its own for each client that sends nonsense.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from policyd.runtime.commands import run_service
from policyd.runtime.memory import bound_heap


def main() -> None:
    """The command. Prints one line if the extra `server` is not installed."""
    bound_heap()
    run_service("policyd-server", "policyd_server.command:serve_command", extra="server")


if __name__ == "__main__":
    main()
