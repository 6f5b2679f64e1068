"""Builds the distribution from a copy of its sources, so that the checkout stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Import name -> its folder in the checkout.
PACKAGES = {
    "policy_api": "proto/policy_api",
    "policyd": "policyd",
    "policyd_server": "server/policyd_server",
    "policyd_trainer": "trainer/policyd_trainer",
}
FILES = ("pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore")
#: Variables for a build that does not try to compile.
UNCOMPILED = {"HATCH_BUILD_NO_HOOKS": "true"}


def copy_sources(folder: Path) -> Path:
    """Copies the sources of a distribution, without files of earlier builds."""
    generated = shutil.ignore_patterns("*.so", "__pycache__")
    for package in (*PACKAGES.values(), "proto/policy_api"):
        shutil.copytree(ROOT / package, folder / package, ignore=generated, dirs_exist_ok=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


def build(sources: Path, target: str = "wheel", **variables: str) -> tuple[Path, str]:
    """Builds. Returns the file that was built, and the output."""
    command = (
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        target,
        "--directory",
        f"dist/{target}",
    )
    done = subprocess.run(
        command, cwd=sources, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return next((sources / "dist" / target).iterdir()), said
