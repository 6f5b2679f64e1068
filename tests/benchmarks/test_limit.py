"""The limit in C answers what the server answers."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

from benchmarks.serving import limit
from benchmarks.serving.contestants import expected_by
from benchmarks.serving.policy import POLICY, observations, publish
from policy_api.v1.policy_pb2 import ActRequest, FloatArray
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policyd import sampling
from tests.policyd_server.compiled.needed import needs_front


@needs_front
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
@pytest.mark.parametrize("rows", [1, 64])
def test_the_limit_draws_the_same_actions(tmp_path: Path, rows: int) -> None:
    """Probabilities are the policy's, and the actions follow from them and the seed."""
    models = publish(tmp_path / "repository", versions=1)
    (tmp_path / "model.onnx").write_bytes(models.read_model(POLICY, 1))
    port_file = tmp_path / "port"
    command = [limit.build(tmp_path), port_file, tmp_path / "model.onnx", limit.onnxruntime_library()]
    with subprocess.Popen([str(part) for part in command]) as server:
        try:
            while not (port_file.exists() and port_file.read_text()) and server.poll() is None:
                time.sleep(0.01)  # another process writes the file: there is no event to wait for
            request = ActRequest(observations=FloatArray(raw=observations(rows).tobytes()), seed=7)
            with grpc.insecure_channel(port_file.read_text()) as channel:
                answer = PolicyServiceStub(channel).Act(request, timeout=60)
        finally:
            server.kill()
    probs = np.frombuffer(answer.action_probs.raw, "<f4").reshape(rows, -1)
    np.testing.assert_allclose(probs, expected_by(models.read_model(POLICY, 1))(rows), atol=1e-6)
    wanted = [sampling.sample(row, 7, index) for index, row in enumerate(probs.tolist())]
    assert np.frombuffer(answer.actions.raw, "<i8").tolist() == wanted
