"""TLS for gRPC from PEM files. Servers use renewed certificates without a restart."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from policyd.errors import FailedPrecondition

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
        self._stamps = self._look()
        self.configuration = _configuration(files)

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns the new configuration, for gRPC at every handshake. None: nothing has changed."""
        stamps = self._look()
        if stamps == self._stamps:
            return None
        try:
            self.configuration = _configuration(self._files)
        except FailedPrecondition as error:
            _LOG.error("the certificate stays as it was: %s", error.message)
            return None
        self._stamps = stamps
        _LOG.info("read the renewed certificate %s", self._files.certificate)
        return self.configuration

    def _look(self) -> list[tuple[int, int] | None]:
        paths = (self._files.certificate, self._files.key, self._files.authority)
        return [_stamp(path) for path in paths if path is not None]


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
