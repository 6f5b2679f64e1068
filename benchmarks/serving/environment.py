"""What a run of the benchmark was made with: the commit, the machine, the packages."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("grpcio", "onnxruntime", "numpy", "protobuf")


def described(checkout: Path) -> dict[str, object]:
    """The facts by name, as the report lists them."""
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {_cpu_model()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "load average at the start": os.getloadavg(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
