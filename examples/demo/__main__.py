"""`make demo`."""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    try:
        main = importlib.import_module("examples.demo.run").main
    except KeyboardInterrupt:  # so early, nothing is running yet
        sys.stderr.write("demo: interrupted\n")
        sys.exit(130)
    sys.exit(main())
