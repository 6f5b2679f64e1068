"""`python -m policy_api.health`: asks the server of this container, by grpc.health.v1, whether it serves.

Exit code 0: it does. Settings come from the same variables as the server's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policy_api import exposure
from policy_api.tls import TlsFiles, channel_credentials

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--listen", envvar="POLICYD_LISTEN", required=True, help="HOST:PORT that the server listens on."
)
@click.option("--service", default="", help="One service by its name; without: the server as a whole.")
@click.option("--timeout", default=4.0, show_default=True, help="Seconds.")
@click.option("--ca", envvar="POLICYD_TLS_CA", type=_FILE, help="PEM; who signed the server's certificate.")
@click.option(
    "--tls-name",
    envvar="POLICYD_TLS_NAME",
    default="localhost",
    show_default=True,
    help="A name in the certificate.",
)
def main(listen: str, service: str, timeout: float, ca: Path | None, tls_name: str) -> None:
    """Whether the server serves; says what it answered otherwise."""
    port = listen.rpartition(":")[2]
    host = exposure.host_of(listen) if exposure.is_loopback(listen) else "127.0.0.1"
    options = [("grpc.ssl_target_name_override", tls_name)]
    with _channel(f"{host}:{port}", ca, options, os.environ) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout, wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise click.ClickException(f"{host}:{port}: {error.code().name}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise click.ClickException(f"{host}:{port}: {name}")


def _channel(
    address: str, ca: Path | None, options: list[tuple[str, str]], environment: Mapping[str, str]
) -> grpc.Channel:
    """Speaks TLS where the server does; the server's own certificate is shown where it wants one."""
    certificate, key = environment.get("POLICYD_TLS_CERT"), environment.get("POLICYD_TLS_KEY")
    if not certificate or not key:
        return grpc.insecure_channel(address)
    own = TlsFiles(Path(certificate), Path(key)) if environment.get("POLICYD_TLS_CLIENT_CA") else None
    return grpc.secure_channel(address, channel_credentials(ca, own), options)


if __name__ == "__main__":
    main()
