"""The commit that a configuration stands in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def commit_of(folder: Path) -> str:
    """The checked-out commit of the repository around `folder`; empty outside of one or without git."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = (git, "-C", str(folder), "rev-parse", "HEAD")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip() if done.returncode == 0 else ""
