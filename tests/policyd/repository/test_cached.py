"""The server's local copy of a repository in object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyd import errors
from policyd.repository import ModelRepository, last_answers
from policyd.repository import cached as module
from policyd.repository.cached import CachedStorage
from tests.flawed_proxy import FlawedProxy
from tests.policyd.repository.conftest import cartpole_metadata
from tests.stores import StoreServer


@pytest.fixture
def origin(store: StoreServer) -> ModelRepository:
    """The trainers' repository: two versions, the second one is the champion."""
    origin = ModelRepository(store.location())
    for content in (b"one", b"two"):
        origin.publish("cartpole", {"model.onnx": content}, metadata=cartpole_metadata())
    origin.set_alias("cartpole", "champion", 2, actor="", reason="")
    return origin


def _server_side(origin: ModelRepository, proxy: FlawedProxy, folder: Path) -> ModelRepository:
    """The repository as a server opens it: through the proxy, with local copies."""
    inner = ModelRepository(proxy.location(origin.location))
    return ModelRepository(CachedStorage(inner.storage, folder))


def test_a_store_that_is_away_is_answered_for(
    origin: ModelRepository, proxy: FlawedProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read once can be read again while the store is unavailable.

    A process that just started can read it, too.
    """
    monkeypatch.setattr(last_answers, "AWAY_SECONDS", 0.0)
    own = _server_side(origin, proxy, tmp_path)
    assert own.read_model("cartpole", 2) == b"two"
    aliases, seen = own.aliases("cartpole"), own.inspect("cartpole")
    assert own.policies() == ["cartpole"]
    proxy.away = True
    for repository in (own, _server_side(origin, proxy, tmp_path)):
        assert (repository.aliases("cartpole"), repository.inspect("cartpole")) == (aliases, seen)
        assert repository.policies() == ["cartpole"]
        assert repository.read_model("cartpole", 2) == b"two"
        with pytest.raises(errors.Unavailable):
            repository.read_model("cartpole", 1)  # was never read here
        with pytest.raises(errors.Unavailable):
            repository.set_alias("cartpole", "champion", 2, actor="", reason="")
    proxy.away = False
    origin.set_alias("cartpole", "champion", 1, actor="", reason="")
    assert own.aliases("cartpole").aliases == {"champion": 1}
    assert own.read_model("cartpole", 1) == b"one"


def test_what_was_read_while_the_store_was_away_is_read_again(
    origin: ModelRepository, proxy: FlawedProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has listed a promotion, and this one can only read the state before it.

    If the stamp stayed the same once the store is back, it would never read again.
    """
    monkeypatch.setattr(last_answers, "AWAY_SECONDS", 0.0)
    monkeypatch.setattr(module, "LISTING_SECONDS", -1.0)
    own = _server_side(origin, proxy, tmp_path)
    assert own.stamps()
    assert own.aliases("cartpole").aliases == {"champion": 2}
    proxy.away = True
    origin.set_alias("cartpole", "champion", 1, actor="", reason="")
    listed = ModelRepository(CachedStorage(origin.storage, tmp_path)).stamps()
    monkeypatch.setattr(module, "LISTING_SECONDS", 3600.0)
    followed = own.stamps()
    assert followed == listed
    assert own.aliases("cartpole").aliases == {"champion": 2}
    proxy.away = False
    monkeypatch.setattr(module, "LISTING_SECONDS", -1.0)
    assert own.stamps()["cartpole"] != followed["cartpole"]
    assert own.aliases("cartpole").aliases == {"champion": 1}


def test_a_copy_is_never_another_versions(
    origin: ModelRepository, proxy: FlawedProxy, tmp_path: Path
) -> None:
    """A copy that was changed is read again. A policy that was recreated gets new copies."""
    own = _server_side(origin, proxy, tmp_path)
    assert own.read_model("cartpole", 2) == b"two"
    (kept,) = (tmp_path / "files").iterdir()
    kept.write_bytes(b"forged")
    assert own.read_model("cartpole", 2) == b"two"
    client = origin.storage.client  # type: ignore[attr-defined]  # the origin is on a server
    for key, _ in list(client.entries("models/cartpole/")):
        client.delete(key)
    client.delete("aliases/cartpole.json")
    origin.publish("cartpole", {"model.onnx": b"made again"}, metadata=cartpole_metadata())
    assert own.read_model("cartpole", 1) == b"made again"
    with pytest.raises(errors.NotFound):
        own.read("cartpole", 2)


def test_files_are_fetched_once_and_listings_are_shared(
    origin: ModelRepository, proxy: FlawedProxy, tmp_path: Path
) -> None:
    """Four processes that poll at once make one listing, and a model is fetched once."""
    servers = [_server_side(origin, proxy, tmp_path) for _ in range(4)]
    for server in servers:
        assert server.stamps() == servers[0].stamps() != {}
    assert proxy.requests["LIST"] <= 2  # on a slow machine LISTING_SECONDS may pass once
    for server in servers:
        assert server.read_model("cartpole", 2) == b"two"
    assert proxy.requests["GET"] == len(servers) + 1  # each description, and one model


def test_a_look_for_something_unknown_is_one_listing_at_most(
    origin: ModelRepository, proxy: FlawedProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown name causes one more listing, which all processes share."""
    monkeypatch.setattr(module, "LISTING_SECONDS", 3600.0)
    first, second = (_server_side(origin, proxy, tmp_path) for _ in range(2))
    assert first.policies() == ["cartpole"]
    for policy in ("later", "too-late"):
        metadata = cartpole_metadata()
        metadata.policy = policy
        origin.publish(policy, {"model.onnx": b"one"}, metadata=metadata)
        assert first.look_again() == (policy == "later")
        assert not second.look_again()
    proxy.requests.clear()
    assert not first.look_again()
    assert not proxy.requests
    monkeypatch.setattr(module, "LISTING_SECONDS", 0.0)
    assert second.policies() == ["cartpole", "later", "too-late"]
