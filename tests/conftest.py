"""What tests of several packages ask for: certificates, and real servers on a repository."""

from __future__ import annotations

import datetime
import signal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings

from policyd.runtime.tls import TlsFiles
from tests.azurite import azurite
from tests.gcs import gcs
from tests.policyd_server.process import publish, repository, start_server, transport
from tests.s3 import s3
from tests.stores import MISSING, NAMES, proxy, store

__all__ = [
    "Authority",
    "authority",
    "azurite",
    "gcs",
    "proxy",
    "publish",
    "repository",
    "s3",
    "start_server",
    "store",
    "transport",
]

DAY = datetime.timedelta(days=1)

# A shell starts background commands with SIGINT ignored, and all children would inherit that. The
# tests of Ctrl-C must pass there, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine is shared, so the time that an example takes says nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_report_header() -> str:
    """Says on which object storage the tests run, and which variables would add one."""
    return f"object storage: {', '.join(NAMES)}; NOT tested, for lack of: {', '.join(MISSING) or '-'}"


class Authority:
    """A certificate authority of one test, with the certificates that it issues for localhost."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), now - DAY, now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / "authority.crt"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, expired: bool = False) -> TlsFiles:
        """Issues a key and a certificate for `name` on this machine.

        A second call with the same name replaces the files.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        begin, end = (now - 3 * DAY, now - 2 * DAY) if expired else (now - DAY, now + DAY)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, self._name, key.public_key(), begin, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = TlsFiles(self._folder / f"{name}.crt", self._folder / f"{name}.key", self.certificate)
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority that this test trusts."""
    return Authority(tmp_path)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
