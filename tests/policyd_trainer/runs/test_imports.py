"""What a whole training process does not import, because it takes seconds and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from policyd_trainer.runs.command import train

try:
    train(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(directory: Path, *arguments: str) -> set[str]:
    """Top-level names in sys.modules at the end of a `policyd-trainer train` process."""
    command = [sys.executable, "-c", PROGRAM, "--policy", "p", "--repository", str(directory), *arguments]
    done = subprocess.run(
        [*command, "--progress", "none", "--no-report"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("imported:")
    return set(last.split())


def test_a_run_without_images_imports_little(tmp_path: Path) -> None:
    """On a CPU, neither discrete nor continuous actions need torch.

    Nothing is drawn before the promotion.
    """
    small = ["--set", "total_timesteps=2000", "--set", "evaluation_episodes=5", "--set", "device=cpu"]
    small += ["--set", "candidates=2", "--set", "selection_episodes=2", "--promote"]
    for arguments in (["--env", "CartPole-v1"], ["--env", "Pendulum-v1"]):
        names = imported_by(tmp_path, *arguments, *small)
        assert "onnxruntime" in names, "the run came to its export"
        assert not names & {"torch", "matplotlib", "PIL", "tensorflow", "optuna", "mlflow"}
