"""An environment of their own for the peers, so that their requirements never meet ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = (
    "stable-baselines3==2.9.2",
    "tianshou==2.0.1",
    "gymnasium[classic-control,box2d]==1.4.0",
    "gymnax==1.0.1",
    "jax==0.10.2",
    "optax==0.2.8",
    "six==1.17.0",  # gymnax imports it, but does not require it
)
CONSTRAINTS = ("torch==2.13.0",)  # the same torch as ours; the peers choose the rest


def peers_python(folder: Path) -> Path:
    """The interpreter of the peers' environment. Makes and fills the environment if needed.

    Raises:
        subprocess.CalledProcessError: pip failed; its message is on stderr.
    """
    python, done = folder / "bin/python", folder / "installed.txt"
    wanted = "\n".join((*REQUIREMENTS, *CONSTRAINTS))
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"installing the peers into {folder} (some minutes, once)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(CONSTRAINTS))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(constraints), *REQUIREMENTS], check=True)
    done.write_text(wanted)
    return python
