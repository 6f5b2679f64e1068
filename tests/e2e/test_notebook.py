"""The notebook runs from its first cell to its last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook" / "cartpole.ipynb"


def test_the_notebook_trains_serves_asks_and_plots(tmp_path: Path) -> None:
    """All cells run in order, as one program: it learns, promotes, draws twice, plays and stops."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells), "outputs belong to no commit"
    program = tmp_path / "notebook.py"
    program.write_text(
        "\n\n".join("".join(cell["source"]) for cell in cells) + "\nprint(len(plt.get_fignums()))\n"
    )
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "proto")))
    ran = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout
    assert "version 1: greedy mean return" in said
    assert "promoted to champion: the first champion" in said
    assert float(said.split("return of the episode:")[1].split()[0]) > 50
    assert said.split()[-1] == "2", "it did not draw two pictures"
