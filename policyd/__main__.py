"""`policyctl` and `python -m policyd`."""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    """Runs the command.

    The imports are inside the function, so that Ctrl-C during an import also ends in one line.
    """
    # failures become errors of ours, so gRPC's own log lines say nothing new
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        run = importlib.import_module("policyd.cli.app").run
    except KeyboardInterrupt:
        sys.stderr.write("policyctl: interrupted\n")
        sys.exit(130)  # Exit.INTERRUPTED
    sys.exit(run())


if __name__ == "__main__":
    main()
