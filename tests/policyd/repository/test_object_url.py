"""What the URL of a repository in object storage names, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyd import errors
from policyd.repository import ModelRepository
from tests.policyd.repository.conftest import publish_content
from tests.stores import StoreServer


def test_the_environment_may_name_the_endpoint(store: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is read from the cloud tools' variables, also one without TLS."""
    for variable in store.endpoint_variables:
        where, _, endpoint = store.location().partition("?endpoint=")
        with monkeypatch.context() as patch:
            patch.setenv(variable, endpoint)
            repository = ModelRepository(where)
        assert publish_content(repository, b"model") == 1
        assert repository.policies() == ["cartpole"]


def test_what_is_wrong_is_said_without_credentials(
    store: StoreServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A store that refuses and one that is unreachable give errors of the tree.

    They are one line, without the key.
    """
    location = ModelRepository(store.location()).location
    nowhere = ModelRepository(location.replace(f":{store.port}", ":9"))
    with pytest.raises(errors.Unavailable, match="cannot be reached") as unreachable:
        nowhere.policies()
    other = store.other_credentials(tmp_path)
    monkeypatch.setenv(*other)
    refused = ModelRepository(location)
    with pytest.raises(errors.FailedPrecondition, match="refuses access") as denied:
        refused.policies()
    for text in (unreachable.value.message, denied.value.message, caplog.text):
        assert "\n" not in text or text is caplog.text
        assert store.secret not in text
        assert other[1] not in text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:secret@bucket/prefix", "no credentials in the URL"),
        ("s3://bucket?secret=1", "settings of s3://"),
        ("s3://bucket?sse=rot13", "AES256"),
        ("s3://", "BUCKET/PREFIX"),
    ],
)
def test_urls_are_checked(url: str, said: str) -> None:
    """Wrong credentials, unknown settings and a missing bucket are refused.

    Secrets are not shown.
    """
    with pytest.raises(errors.InvalidArgument, match=said) as raised:
        ModelRepository(url)
    assert "secret@" not in raised.value.message


@pytest.mark.parametrize("url", ["gs://bucket/prefix", "az://container/prefix"])
def test_other_clouds_are_opened_by_their_scheme(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their URLs open a storage. Nothing is sent before the first call."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert ModelRepository(url).location == url
