"""The protocol's repository calls: what they do where aliases decide what serves."""

from __future__ import annotations

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from policyd.repository import ModelRepository
from tests.policyd_server.oip.conftest import PLAIN, UNNAMED


def _states(client: triton.InferenceServerClient, name: str) -> dict[str, str]:
    models = client.get_model_repository_index().models
    return {model.version: model.state for model in models if model.name == name}


def test_the_index_says_what_is_in_memory(client: triton.InferenceServerClient) -> None:
    """The index has every version of every policy. The champion's version is READY."""
    assert _states(client, PLAIN)["1"] == "READY"
    assert set(_states(client, PLAIN)) == {"1", "2"}


def test_a_policy_without_aliases_is_loaded_and_unloaded(client: triton.InferenceServerClient) -> None:
    """Load takes its newest version into memory, and unload frees it. Both may be repeated."""
    for _ in range(2):
        client.load_model(UNNAMED)
        assert _states(client, UNNAMED) == {"1": "READY"}
    for _ in range(2):
        client.unload_model(UNNAMED)
        assert _states(client, UNNAMED) == {"1": "UNAVAILABLE"}
    assert not client.is_model_ready(UNNAMED, "1")


def test_load_follows_the_repository_at_once(
    client: triton.InferenceServerClient, repository: ModelRepository
) -> None:
    """After load the champion is the repository's, without waiting for the next poll."""
    for version in (2, 1):
        repository.set_alias(PLAIN, "champion", version, actor="test", reason="")
        client.load_model(PLAIN)
        assert client.is_model_ready(PLAIN, str(version))
        policy = [m for m in client.get_model_repository_index().models if m.name == PLAIN]
        assert policy[version - 1].state == "READY"


def test_what_an_alias_names_is_not_unloaded(client: triton.InferenceServerClient) -> None:
    """Unloading it would be an outage, so FAILED_PRECONDITION is returned and it goes on."""
    with pytest.raises(InferenceServerException, match="champion") as raised:
        client.unload_model(PLAIN)
    assert raised.value.status() == "StatusCode.FAILED_PRECONDITION"
    assert client.is_model_ready(PLAIN)


def test_a_model_cannot_be_overridden(client: triton.InferenceServerClient) -> None:
    """Published versions do not change, so a configuration or files are refused."""
    with pytest.raises(InferenceServerException, match="parameters") as raised:
        client.load_model(PLAIN, config="{}")
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_an_unknown_model_is_not_found(client: triton.InferenceServerClient) -> None:
    """Load and unload of an unknown model give NOT_FOUND."""
    for call in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as raised:
            call("nobody")
        assert raised.value.status() == "StatusCode.NOT_FOUND"
