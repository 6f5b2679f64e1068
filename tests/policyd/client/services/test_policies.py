"""Both clients' calls about policies, against a real gRPC server."""

from __future__ import annotations

from tests.policyd.client.conftest import Connect


def test_policies_and_aliases(address: str, connect: Connect) -> None:
    """Both clients list, promote and roll back."""
    with connect(address) as client:
        assert [policy.name for policy in client.list_policies()] == ["cartpole"]
        assert client.get_policy("cartpole").generation == 2
        assert client.set_alias("cartpole", 1, reason="try").alias.version == 1
        assert client.rollback_alias("cartpole").generation == 4


def test_a_server_tells_its_version(address: str, connect: Connect) -> None:
    """GetServerInfo gives version and limits to both clients."""
    with connect(address) as client:
        told = client.get_server_info()
    assert (told.version, told.max_batch_rows) == ("1.2.3", 64)
