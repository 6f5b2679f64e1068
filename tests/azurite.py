"""Azurite, Microsoft's emulator of Azure Blob Storage, on loopback: `make stores`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

VARIABLE = "POLICYD_AZURITE"  # the program `azurite-blob`
ACCOUNT = "devstoreaccount1"
# The emulator's documented credentials, which are not secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "policyd"
START_LIMIT = 60.0  # seconds
_VERSION = "2021-12-02"


class AzuriteServer:
    """One server process with one container."""

    secret = KEY
    endpoint_variables = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.log = folder / "azurite.log"
        flags = ["--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        flags += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        with self.log.open("ab") as log:
            command = [os.environ[VARIABLE], *flags]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._make_container()

    def location(self) -> str:
        """The URL of a new repository."""
        return f"az://{CONTAINER}/{uuid.uuid4().hex}?endpoint=http://127.0.0.1:{self.port}/{ACCOUNT}"

    def other_credentials(self, folder: Path) -> tuple[str, str]:
        """See `StoreServer`."""
        del folder
        return "AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"another-secret").decode()

    def stop(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.wait(60)

    def _make_container(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                return self._put_container()
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log.read_text()[-3000:]) from None
                time.sleep(0.1)  # another process starts: there is no event to wait for

    def _put_container(self) -> None:
        """Creates the container, which obstore cannot do.

        The request is signed with the shared key.
        """
        path, date = f"/{ACCOUNT}/{CONTAINER}", formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": _VERSION}
        empty = "\n" * 12  # Content-Encoding to Range; the request has none of these headers
        signed = f"PUT{empty}x-ms-date:{date}\nx-ms-version:{_VERSION}\n/{ACCOUNT}{path}\nrestype:container"
        digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("PUT", f"{path}?restype=container", b"", headers)
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"no container: {response.status} {said[:500]!r}")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteServer]:
    """A server for the whole run; its credentials are in the environment."""
    server = AzuriteServer(tmp_path_factory.mktemp("azurite"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        patch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
        yield server
    server.stop()
