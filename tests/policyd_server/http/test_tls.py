"""The HTTP port's TLS follows its files."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest

from policyd.runtime.tls import TlsFiles
from policyd_server.http.tls import FollowedContext
from tests.conftest import Authority


def _admits(server: ssl.SSLContext, client: TlsFiles, authority: Path) -> bool:
    """Whether a handshake with the client's certificate succeeds. It checks the server's too."""
    trusting = ssl.create_default_context(cafile=str(authority))
    trusting.load_cert_chain(client.certificate, client.key)
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        trusting.wrap_bio(here, there, server_hostname="localhost"),
        server.wrap_bio(there, here, server_side=True),
    ]
    for _ in range(6):  # more than a handshake has flights
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
            ends.remove(end)
    return not ends


@pytest.fixture
def authorities(tmp_path: Path) -> list[Authority]:
    folders = [tmp_path / name for name in ("server", "old", "new")]
    for folder in folders:
        folder.mkdir()
    return [Authority(folder, f"the {folder.name} authority") for folder in folders]


def test_another_authority_of_the_clients_replaces_the_first(authorities: list[Authority]) -> None:
    """Whoever has a certificate of the former authority is no longer admitted."""
    own, old, new = authorities
    issued = own.issue("server")
    files = TlsFiles(issued.certificate, issued.key, old.certificate)
    followed = FollowedContext(files)
    clients = [each.issue("client") for each in (old, new)]
    admitted = [_admits(followed.context, client, own.certificate) for client in clients]
    assert admitted == [True, False]
    old.certificate.write_bytes(new.certificate.read_bytes())
    followed.look()
    admitted = [_admits(followed.context, client, own.certificate) for client in clients]
    assert admitted == [False, True]


def test_a_broken_certificate_is_not_logged_at_every_look(
    authorities: list[Authority], caplog: pytest.LogCaptureFixture
) -> None:
    """The last good one stays in use."""
    own, old, _ = authorities
    issued = own.issue("server")
    followed = FollowedContext(TlsFiles(issued.certificate, issued.key, old.certificate))
    issued.certificate.write_text("broken")
    caplog.set_level(logging.ERROR)
    for _ in range(100):
        followed.look()
    assert len(caplog.records) == 1
    assert _admits(followed.context, old.issue("client"), own.certificate)
