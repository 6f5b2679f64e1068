"""The time at which a certificate expires, as a metric for Prometheus."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION = 0xA0  # tag of the optional first field of tbsCertificate
_UTC_TIME = 0x17

_LOG = logging.getLogger(__name__)


class ExpiryMetric:
    """The metric for one certificate file. It follows changes of the file, as the server does."""

    def __init__(self, certificate: Path, registry: CollectorRegistry) -> None:
        self._certificate = certificate
        self._seen: int | None = None  # the file's time of change
        self._gauge = Gauge(
            "policyd_certificate_not_after_seconds",
            "When the certificate of --tls-cert ends, in seconds since 1970.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def look(self) -> None:
        """Reads the file if it has changed. If it cannot be read, the metric keeps its value."""
        try:
            changed = self._certificate.stat().st_mtime_ns
            if changed == self._seen:
                return
            self._seen = changed
            self._gauge.set(not_after(self._certificate.read_text()).timestamp())
        except (OSError, ValueError, IndexError) as error:
            _LOG.error("%s does not say when it ends: %s", self._certificate, error)


def not_after(pem: str) -> datetime:
    """Returns when the first certificate of a PEM chain expires (RFC 5280, section 4.1).

    Raises ValueError or IndexError if the text is not a certificate.
    """
    begin = pem.index(_BEGIN)
    der = ssl.PEM_cert_to_DER_cert(pem[begin : pem.index(_END, begin) + len(_END)])
    [(_, certificate)] = _fields(der)
    (_, signed), *_ = _fields(certificate)
    fields = [content for tag, content in _fields(signed) if tag != _VERSION]
    _, _, _, validity, *_ = fields  # serial number, algorithm, issuer, validity
    tag, moment = _fields(validity)[1]
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(moment.decode(), form).replace(tzinfo=UTC)


def _fields(sequence: bytes) -> list[tuple[int, bytes]]:
    """Returns tag and content of each element (DER: X.690, sections 8.1 and 10.1)."""
    found, at = [], 0
    while at < len(sequence):
        tag, length = sequence[at], sequence[at + 1]
        at += 2
        if length & 0x80:  # a long form: the lower bits say how many bytes the length has
            size = length & 0x7F
            length = int.from_bytes(sequence[at : at + size], "big")
            at += size
        found.append((tag, sequence[at : at + length]))
        at += length
    return found
