"""`policyd-trainer train` as a process, as people and the job supervisor start it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from google.protobuf import json_format

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.training_pb2 import TrainingProgress, WorkerEvent
from policyd.repository import ModelRepository
from policyd_trainer.runs.checkpoint import FILE
from policyd_trainer.runs.command import train

SMALL = ["total_timesteps=6000", "n_envs=8", "n_steps=16", "evaluation_episodes=5", "candidates=2"]
SMALL += ["selection_episodes=2", "normalize_observations=true"]

PHASES = {
    TrainingProgress.TRAINING,
    TrainingProgress.EVALUATING,
    TrainingProgress.EXPORTING,
    TrainingProgress.COMPARING,
    TrainingProgress.PUBLISHING,
    TrainingProgress.PROMOTING,
}


def command(repository: Path, *arguments: str, settings: list[str] = SMALL) -> list[str]:
    start = [sys.executable, "-m", "policyd_trainer", "train", "--policy", "pole", "--env", "CartPole-v1"]
    pairs = [part for pair in settings for part in ("--set", pair)]
    return [*start, "--repository", str(repository), "--no-report", *pairs, *arguments]


def run(line: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(line, capture_output=True, text=True, check=False)


def events(output: str) -> list[WorkerEvent]:
    return [json_format.Parse(line, WorkerEvent()) for line in output.splitlines()]


def test_a_whole_run(tmp_path: Path) -> None:
    """There is progress in every phase, then a promoted version that can act.

    Its model describes itself.
    """
    done = run(command(tmp_path, "--progress", "json", "--promote", "--job-id", "j1", "--seed", "5"))
    assert done.returncode == 0, done.stderr
    told = events(done.stdout)
    result = told[-1].result
    phases = {event.progress.phase for event in told[:-1]}
    assert phases == PHASES
    fractions = [event.progress.fraction for event in told[:-1]]
    assert fractions == sorted(fractions)
    assert (result.version, result.promoted, result.version_path) == (1, True, "models/pole/1")

    repository = ModelRepository(tmp_path)
    published = repository.verify("pole", 1)
    assert repository.aliases("pole").aliases == {"champion": 1}
    folder = tmp_path / published.path
    model = onnx.load(folder / "model.onnx")
    described = json_format.Parse(
        {entry.key: entry.value for entry in model.metadata_props}["policy_metadata"], PolicyMetadata()
    )
    assert described == published.metadata
    assert described.parity.max_abs_difference <= described.parity.tolerance == 1e-5
    assert (described.parity.random_observations, described.evaluation.greedy.episodes) == (1000, 5)
    assert described.evaluation == result.evaluation
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    logits, probs, value = session.run(None, {"observations": np.zeros((3, 4), np.float32)})
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), probs, rtol=1e-5)
    assert (probs.shape, value.shape) == ((3, 2), (3,))
    names = {path.name for path in folder.iterdir()}
    assert {"learning_curve.json", "evaluation.json", "weights.npz"} < names
    assert not any(name.endswith((".png", ".gif", ".html")) for name in names), "nobody waits for pictures"

    again = run(command(tmp_path, "--progress", "json", "--promote", "--job-id", "j1", "--seed", "5"))
    assert events(again.stdout)[-1].result == result
    assert repository.versions("pole") == [1]


@pytest.mark.parametrize(
    ("arguments", "reason", "message"),
    [
        (["--set", "gamma=2"], "INVALID_ARGUMENT", "settings[gamma]"),
        (["--set", "gamma"], "INVALID_ARGUMENT", "KEY=VALUE"),
        (["--env", "NoSuch-v0"], "INVALID_ARGUMENT", "NoSuch"),
        (["--env", "tests.policyd_trainer.kinds:Sequences-v0"], "UNSUPPORTED_SPACE", "action space Sequence"),
        (["--env", "no_module:Env-v0"], "INVALID_ARGUMENT", "no_module"),
        (["--set", "device=cuda"], "INVALID_ARGUMENT", "there is no usable GPU"),
        (["--set", "init_from=champion"], "INVALID_ARGUMENT", "settings[init_from]"),
        (["--set", 'env_kwargs={"wind": 1}'], "INVALID_ARGUMENT", "settings[env_kwargs]"),
        (["--set", "learning_rate=1e30", "--set", "optimizer=sgd"], "DIVERGED", "norm"),
    ],
)
def test_failures_have_a_reason(tmp_path: Path, arguments: list[str], reason: str, message: str) -> None:
    """Each kind of bad input gives exit code 1 and one failure that names what is wrong."""
    if "device=cuda" in arguments and _has_gpu():
        pytest.skip("there is a GPU here, so asking for one is no error")
    line = command(tmp_path, "--progress", "json", *arguments)
    done = CliRunner().invoke(train, line[line.index("train") + 1 :])  # in this process: imports take seconds
    failure = events(done.stdout)[-1].failure
    assert (done.exit_code, failure.reason) == (1, reason)
    assert message in failure.message
    assert "Traceback" not in done.output


def test_a_failure_of_the_process(tmp_path: Path) -> None:
    """There is exit code 1, a failure as the last line of standard output, and no traceback."""
    done = run(command(tmp_path, "--progress", "json", "--set", "gamma=2"))
    assert done.returncode == 1
    assert events(done.stdout)[-1].failure.reason == "INVALID_ARGUMENT"
    assert "Traceback" not in done.stdout + done.stderr


def test_a_floor_that_is_not_reached(tmp_path: Path) -> None:
    """Below min_return the version is published, but not promoted."""
    done = run(command(tmp_path, "--progress", "none", "--promote", "--min-return", "501"))
    assert done.returncode == 0, done.stderr
    assert "below the floor 501" in done.stdout
    assert ModelRepository(tmp_path).aliases("pole").aliases == {}


def test_sigterm_then_the_same_again(tmp_path: Path) -> None:
    """SIGTERM ends a run with 143 and a checkpoint.

    The same command then resumes it and publishes once.
    """
    settings = [*SMALL, "total_timesteps=200000"]
    line = command(
        tmp_path / "repository", "--progress", "json", "--run-dir", str(tmp_path / "run"), settings=settings
    )
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if json.loads(text).get("progress", {}).get("envSteps", "0") != "0":
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert (tmp_path / "run" / FILE).exists()
    assert not (tmp_path / "repository" / "models").exists()
    done = run(line)
    assert done.returncode == 0, done.stderr
    told = events(done.stdout)
    assert told[0].progress.env_steps > 0
    assert ModelRepository(tmp_path / "repository").versions("pole") == [1]


def _has_gpu() -> bool:
    import torch  # noqa: PLC0415  the import takes seconds, and only this test needs it

    return torch.cuda.is_available()


def test_a_run_with_workers_leaves_nothing_behind(tmp_path: Path) -> None:
    """Rollout workers and the process that scores candidates end with the run, silently."""
    settings = [*SMALL, "rollout_workers=2", "score_beside=true"]
    done = run(command(tmp_path, "--progress", "none", settings=settings))
    assert done.returncode == 0, done.stderr
    assert "left behind" not in done.stdout + done.stderr
