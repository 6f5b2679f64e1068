"""How the server proves to a trainer who it is.

Over real TLS, with a token that is read for each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pydantic
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from policyd.errors import FailedPrecondition
from policyd.runtime.tls import server_credentials
from policyd_server.trainer_link import TrainerLink
from tests.conftest import Authority

Tokens = list[object]  # the authorization of each call to the trainer


class _Ear(grpc.ServerInterceptor):
    def __init__(self, heard: Tokens) -> None:
        self._heard = heard

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],  # type: ignore[type-arg]  # as above
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]  # as above
        metadata = {key: value for key, value, *_ in handler_call_details.invocation_metadata}
        self._heard.append(metadata.get("authorization"))
        return continuation(handler_call_details)


@pytest.fixture
def trainer(authority: Authority) -> Iterator[tuple[str, Tokens]]:
    """A trainer that accepts only callers with a certificate of the authority.

    Yields its address, and the tokens of its calls.
    """
    heard: Tokens = []
    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[_Ear(heard)])
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_secure_port("localhost:0", server_credentials(authority.issue("trainer")))
    server.start()
    yield f"localhost:{port}", heard
    server.stop(None).wait()


def _call(link: TrainerLink, address: str) -> grpc.StatusCode:
    async def call() -> grpc.StatusCode:
        async with link.channel(address, []) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=60, metadata=link.metadata())
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    return asyncio.run(call())


def test_a_certificate_and_a_token_are_shown(
    authority: Authority, trainer: tuple[str, Tokens], tmp_path: Path
) -> None:
    """A trainer that demands both gets both.

    A token renewed in its file is used from then on.
    """
    address, heard = trainer
    own, token = authority.issue("server"), tmp_path / "token"
    link = TrainerLink(
        trainer_ca=authority.certificate,
        trainer_cert=own.certificate,
        trainer_key=own.key,
        trainer_token_file=token,
    )
    for secret in ("first", "second"):
        token.write_text(f"{secret}\n")
        assert _call(link, address) is grpc.StatusCode.OK
    assert heard == ["Bearer first", "Bearer second"]


def test_neither_side_talks_to_strangers(
    authority: Authority, trainer: tuple[str, Tokens], tmp_path: Path
) -> None:
    """A server without a certificate, or with another authority, reaches no trainer."""
    address, heard = trainer
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "another authority")
    for link in (
        TrainerLink(),
        TrainerLink(trainer_ca=authority.certificate),
        TrainerLink(trainer_ca=stranger.certificate),
    ):
        assert _call(link, address) is grpc.StatusCode.UNAVAILABLE
    assert heard == []


def test_without_settings_nothing_is_shown() -> None:
    """Without TLS settings no credentials are sent, whatever the environment has."""
    assert TrainerLink().metadata() == []


def test_half_a_link_is_refused(tmp_path: Path) -> None:
    """A certificate needs its key and an authority for the trainer. The error names both."""
    with pytest.raises(pydantic.ValidationError, match="trainer_cert and trainer_key come together"):
        TrainerLink(trainer_cert=tmp_path)
    with pytest.raises(pydantic.ValidationError, match="trainer_cert needs trainer_ca"):
        TrainerLink(trainer_cert=tmp_path, trainer_key=tmp_path)


def test_a_missing_token_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """A call without the token could only fail at the trainer, so the error names the file."""
    with pytest.raises(FailedPrecondition, match=r"no-such-token: No such file") as raised:
        TrainerLink(trainer_token_file=tmp_path / "no-such-token").metadata()
    assert raised.value.reason == "NO_TRAINER_TOKEN"
