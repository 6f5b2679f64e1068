"""One real server a transport, with a policy that has masks and one that has not.

All tests of this folder share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray

from policyd.repository import ModelRepository
from tests.policyd_server import artifacts, kinds
from tests.policyd_server.process import TRANSPORTS, ServerProcess

MASKED, PLAIN, GAUSSIAN, UNNAMED = "masked", "plain", "gaussian", "unnamed"
#: Policy -> kind of its actions and observations (tests/policyd_server/kinds.py).
KINDS = {
    GAUSSIAN: ("squashed", "vector"),
    "clipped": ("clipped", "mixed"),
    "branches": ("multi_discrete", "image"),
    "bits": ("multi_binary", "choice"),
}


OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)  # [5, 4]


def inputs(observations: NDArray[Any] = OBSERVATIONS, mask: NDArray[np.bool_] | None = None) -> list[Any]:
    """The inputs of a request by Triton's client."""
    tensors = [triton.InferInput("observations", list(observations.shape), "FP32")]
    tensors[0].set_data_from_numpy(observations)
    if mask is not None:
        tensors.append(triton.InferInput("action_mask", list(mask.shape), "BOOL"))
        tensors[1].set_data_from_numpy(mask)
    return tensors


def _publish(repository: ModelRepository, policy: str, *, mask: bool = False, seed: int = 0) -> None:
    described = artifacts.metadata(policy, (4,), 3)
    described.has_action_mask = mask
    repository.publish(policy, {"model.onnx": artifacts.model(described, seed=seed)}, metadata=described)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """Version 1 is the champion of each. `plain` has a version 2, `unnamed` has no alias."""
    repository = ModelRepository(tmp_path_factory.mktemp("repository"))
    _publish(repository, MASKED, mask=True)
    _publish(repository, PLAIN)
    _publish(repository, PLAIN, seed=1)
    _publish(repository, UNNAMED)
    for policy, (actions, observations) in KINDS.items():
        described = kinds.metadata(actions, observations, policy)
        repository.publish(policy, {"model.onnx": artifacts.model(described)}, metadata=described)
    for policy in (MASKED, PLAIN, *KINDS):
        repository.set_alias(policy, "champion", 1, actor="test", reason="")
    return repository


@pytest.fixture(scope="module", params=TRANSPORTS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repository: ModelRepository
) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("server")
    started = ServerProcess(directory, repository.root, "--transport", str(request.param))
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.log


@pytest.fixture
def client(server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address) as client:
        yield client
