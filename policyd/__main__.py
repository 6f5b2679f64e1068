"""`policyctl` and `python -m policyd`."""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    """Runs the command. Imports happen here, so that Ctrl-C during them ends in one line, too."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the errors that matter come as errors
    try:
        run = importlib.import_module("policyd.cli.app").run
    except KeyboardInterrupt:
        sys.stderr.write("policyctl: interrupted\n")
        sys.exit(130)  # Exit.INTERRUPTED
    sys.exit(run())


if __name__ == "__main__":
    main()
