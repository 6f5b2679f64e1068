"""Google Cloud Storage for tests: an emulator of it that somebody started, such as Google's own.

POLICYD_GCS is its URL. Without it, these tests do not exist.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.gcs_json import Emulator
from tests.gcs_xml import XmlServer

VARIABLE = "POLICYD_GCS"  # such as http://127.0.0.1:9000
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"  # the variable of Google's own tools


class GcsServer:
    """The XML API on loopback, and the emulator behind it. Each repository has its own bucket."""

    endpoint_variables = ("GOOGLE_BASE_URL",)

    def __init__(self, url: str, account: Path) -> None:
        """`account`: where the key file of the service account is written."""
        key, self.secret = write_account(account)
        self._emulator = Emulator(url)
        self._xml = XmlServer(self._emulator, key)
        self.port = self._xml.port

    def location(self) -> str:
        """The URL of a new repository."""
        bucket = f"policyd-{uuid.uuid4().hex}"
        self._emulator.make_bucket(bucket)
        return f"gs://{bucket}/repository?endpoint=http://127.0.0.1:{self.port}"

    def other_credentials(self, folder: Path) -> tuple[str, str]:
        """See `StoreServer`."""
        write_account(folder / "other.json")
        return CREDENTIALS, str(folder / "other.json")

    def stop(self) -> None:
        """Stops listening."""
        self._xml.close()


def write_account(path: Path) -> tuple[rsa.RSAPublicKey, str]:
    """Writes the key file of a new service account, as Google's console does.

    Returns its public key, and part of the secret one.
    """
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "test@policyd", "private_key_id": "1"}
    path.write_text(json.dumps({**account, "private_key": pem}))
    return private.public_key(), pem.splitlines()[5]


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """A server for the whole run; its credentials are in the environment."""
    path = tmp_path_factory.mktemp("gcs") / "account.json"
    server = GcsServer(os.environ[VARIABLE], path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CREDENTIALS, str(path))
        yield server
    server.stop()
