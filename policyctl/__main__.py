"""`policyctl` and `python -m policyctl`."""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    """The command. What it is made of is imported here, so that Ctrl-C is a line from the first moment on."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the errors that matter come as errors
    try:
        run = importlib.import_module("policyctl.run").run
    except KeyboardInterrupt:
        sys.stderr.write("policyctl: interrupted\n")
        sys.exit(130)  # Exit.INTERRUPTED
    sys.exit(run())


if __name__ == "__main__":
    main()
