"""`python -m policyd.runtime.health`: the health check of the images, over grpc.health.v1.

The exit code is 0 if the server of this container serves. It reads the server's own environment
variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policyd.runtime import listen_address
from policyd.runtime.tls import TlsFiles, channel_credentials

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--listen", envvar="POLICYD_LISTEN", required=True, help="HOST:PORT that the server listens on."
)
@click.option(
    "--service", default="", help="Check one service by its name.  [default: the server as a whole]"
)
@click.option("--timeout", default=4.0, show_default=True, help="Seconds to wait for the response.")
@click.option(
    "--ca",
    envvar="POLICYD_TLS_CA",
    type=_FILE,
    help="Authority that signed the server's certificate (PEM file).",
)
@click.option(
    "--tls-name",
    envvar="POLICYD_TLS_NAME",
    default="localhost",
    show_default=True,
    help="A name in the certificate.",
)
def main(listen: str, service: str, timeout: float, ca: Path | None, tls_name: str) -> None:
    """Check whether the server serves. If not, print what it answered and exit with 1."""
    address = _reachable(listen_address.each(listen)[0])
    options = [("grpc.ssl_target_name_override", tls_name)]
    with _channel(address, ca, options, os.environ) as channel:
        try:
            answer, call = health_pb2_grpc.HealthStub(channel).Check.with_call(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout, wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise click.ClickException(f"{address}: {error.code().name}") from None
    detail = dict(call.trailing_metadata() or ()).get("policyd-detail")
    if detail:
        click.echo(detail)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise click.ClickException(f"{address}: {name}")


def _reachable(listen: str) -> str:
    """Returns an address under which this machine reaches what listens at `listen`."""
    if listen_address.unix_path(listen) is not None or listen_address.is_loopback(listen):
        return listen
    return f"127.0.0.1:{listen.rpartition(':')[2]}"


def _channel(
    address: str, ca: Path | None, options: list[tuple[str, str]], environment: Mapping[str, str]
) -> grpc.Channel:
    """Opens a channel, with TLS if the server uses it.

    If the server demands a client certificate, the channel uses the server's own.
    """
    certificate, key = environment.get("POLICYD_TLS_CERT"), environment.get("POLICYD_TLS_KEY")
    if not certificate or not key:
        return grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
    own = TlsFiles(Path(certificate), Path(key)) if environment.get("POLICYD_TLS_CLIENT_CA") else None
    return grpc.secure_channel(
        address, channel_credentials(ca, own), [*options, ("grpc.enable_http_proxy", 0)]
    )


if __name__ == "__main__":
    main()
