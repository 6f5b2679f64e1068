"""Versions in memory, loaded from a real repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from policyd.repository import ModelRepository
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server import artifacts

Load = Callable[..., LoadedVersion]


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Publishes and loads one more version of a random policy."""
    repository = ModelRepository(Path(tmp_path_factory.mktemp("repository")))

    def load(policy: str = "p", seed: int = 0, *, features: int = 4, n: int = 3) -> LoadedVersion:
        described = artifacts.metadata(policy, (features,), n)
        model = artifacts.model(described, seed=seed)
        published = repository.publish(policy, {"model.onnx": model}, metadata=described)
        return load_version(repository, policy, published.version)

    return load
