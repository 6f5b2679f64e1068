"""When certificates end."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from prometheus_client import CollectorRegistry

from policyd.runtime.certificate_expiry import ExpiryMetric, not_after
from tests.conftest import Authority
from tests.policyd_server.metrics.test_metrics import await_value, value
from tests.policyd_server.process import StartServer

NAME = "policyd_certificate_not_after_seconds"


def _ends(certificate: Path) -> float:
    """The end of the certificate according to the library that made it."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()


@pytest.mark.parametrize("year", [2049, 2050, 2999])
def test_the_end_is_read(authority: Authority, year: int) -> None:
    """Both forms of time in certificates are read; of a chain, the earliest end counts.

    From 2050 on certificates use the other form.
    """
    files = authority.issue("server")
    template = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    end = datetime.datetime(year, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(
        template.issuer,
        template.subject,
        template.public_key(),
        template.serial_number,
        template.not_valid_before_utc,
        end,
    )
    key = load_pem_private_key(files.key.read_bytes(), None)
    made = builder.sign(key, template.signature_hash_algorithm)  # type: ignore[arg-type]  # an EC key
    chain = made.public_bytes(Encoding.PEM).decode() + authority.certificate.read_text()
    assert not_after("a comment\n" + chain) == end


def test_the_metric_follows_the_file(authority: Authority) -> None:
    """A renewed certificate counts. With a broken one, the last value stays."""
    files, registry = authority.issue("server", expired=True), CollectorRegistry()
    metric = ExpiryMetric(files.certificate, registry)
    for expired in (True, False):
        authority.issue("server", expired=expired)
        metric.look()
        assert registry.get_sample_value(NAME) == _ends(files.certificate)
    known = registry.get_sample_value(NAME)
    for broken in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        files.certificate.write_text(broken)
        metric.look()
        assert registry.get_sample_value(NAME) == known


def test_a_server_tells_when_its_certificate_ends(start_server: StartServer, authority: Authority) -> None:
    """A server that uses TLS has the time in /metrics."""
    files = authority.issue("server")
    tls = ("--transport", "grpcio", "--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    server = start_server("--metrics", "127.0.0.1:0", *tls)
    await_value(server, _ends(files.certificate), NAME)
    assert value(server, NAME) == _ends(files.certificate)
