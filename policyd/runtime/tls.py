"""TLS for gRPC from PEM files. Servers use renewed certificates without a restart."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from policyd.errors import FailedPrecondition
from policyd.runtime.log_limit import LogLimit, and_others

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TlsFiles:
    """The PEM files of a server or of a client."""

    certificate: Path  # the certificate chain, leaf first
    key: Path
    # The authority that signed the other side's certificates. A server with an authority demands
    # client certificates (mTLS).
    authority: Path | None = None

    def check(self) -> None:
        """Raises FailedPrecondition if files are missing, broken or do not belong together."""
        _configuration(self)

    def stamps(self) -> list[tuple[int, int] | None]:
        """Returns what changes when a file is written or replaced. None: that file is not there."""
        return [_stamp(path) for path in (self.certificate, self.key, self.authority) if path is not None]


class KeptCertificate:
    """Logs that renewed files are broken, once per minute and reason."""

    def __init__(self) -> None:
        self._limit = LogLimit(1, 60.0)

    def log(self, reason: str) -> None:
        """Logs it, unless that was done in this minute."""
        if (left_out := self._limit.passes(reason)) is not None:
            _LOG.error("the certificate stays as it was: %s%s", reason, and_others(left_out))


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Returns credentials that follow the files: each handshake uses their current content.

    Raises FailedPrecondition if they are missing, broken or do not belong together. If that happens
    later, it is logged, and the last good files stay in use.
    """
    source = _Followed(files)
    return grpc.dynamic_ssl_server_credentials(
        source.configuration,
        source.fetch,  # type: ignore[arg-type]  # the stubs do not allow None, which means no change
        require_client_authentication=files.authority is not None,
    )


def channel_credentials(authority: Path | None, client: TlsFiles | None = None) -> grpc.ChannelCredentials:
    """Returns a client's credentials.

    `authority` signed the server's certificate; None: the authorities that the system trusts.
    """
    return grpc.ssl_channel_credentials(
        root_certificates=None if authority is None else _bytes(authority),
        private_key=None if client is None else _bytes(client.key),
        certificate_chain=None if client is None else _bytes(client.certificate),
    )


class _Followed:
    """A server's certificate configuration, which follows its files."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._kept = KeptCertificate()
        self._stamps = files.stamps()
        self.configuration = _configuration(files)

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns the new configuration, for gRPC at every handshake. None: nothing has changed."""
        stamps = self._files.stamps()
        if stamps == self._stamps:
            return None
        try:
            self.configuration = _configuration(self._files)
        except FailedPrecondition as error:
            self._kept.log(error.message)
            return None
        self._stamps = stamps
        _LOG.info("read the renewed certificate %s", self._files.certificate)
        return self.configuration


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    key, chain = _bytes(files.key), _bytes(files.certificate)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    except (ssl.SSLError, OSError) as error:
        raise FailedPrecondition(
            f"{files.certificate} and {files.key} are not a certificate and its key: {error}",
            reason="BAD_CERTIFICATE",
        ) from None
    authority = None if files.authority is None else _bytes(files.authority)
    return grpc.ssl_server_certificate_configuration([(key, chain)], authority)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(f"{path}: {error.strerror}", reason="BAD_CERTIFICATE") from None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
