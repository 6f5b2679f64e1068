"""The guard in front of a real grpc.aio server.

Credentials, certificates, and that renewed ones are read.
"""

# ruff: noqa: N802 -- gRPC names the methods

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1.policy_pb2_grpc import (
    PolicyServiceServicer,
    PolicyServiceStub,
    add_PolicyServiceServicer_to_server,
)
from policyd.runtime.authorization import Authorizer
from policyd.runtime.callers import Callers
from policyd.runtime.guard import Gate, Guard, current_caller
from policyd.runtime.tls import TlsFiles, channel_credentials, server_credentials


class _WhoCalls(PolicyServiceServicer):
    """Responds with the name of the caller."""

    async def Act(self, request: pb.ActRequest, context: Any) -> pb.ActResponse:
        return pb.ActResponse(policy=_name())

    async def StreamAct(
        self, request_iterator: AsyncIterator[pb.StreamActRequest], context: Any
    ) -> AsyncIterator[pb.StreamActResponse]:
        async for _ in request_iterator:
            yield pb.StreamActResponse(response=pb.ActResponse(policy=_name()))

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Any) -> pb.GetPolicyResponse:
        return pb.GetPolicyResponse(policy=pb.Policy(name=_name()))

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: Any) -> pb.ListPoliciesResponse:
        return pb.ListPoliciesResponse()

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Any) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse()

    async def SetAlias(self, request: pb.SetAliasRequest, context: Any) -> pb.SetAliasResponse:
        return pb.SetAliasResponse()

    async def RollbackAlias(self, request: pb.RollbackAliasRequest, context: Any) -> pb.RollbackAliasResponse:
        return pb.RollbackAliasResponse()

    async def ExportVersion(
        self, request: pb.ExportVersionRequest, context: Any
    ) -> AsyncIterator[pb.ExportVersionResponse]:
        yield pb.ExportVersionResponse()

    async def ImportVersion(
        self, request_iterator: AsyncIterator[pb.ImportVersionRequest], context: Any
    ) -> pb.ImportVersionResponse:
        return pb.ImportVersionResponse()


def _name() -> str:
    caller = current_caller()
    return caller.name if caller else "anyone"


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test on an event loop of its own."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        async def whole() -> None:
            await test(**fixtures)

        asyncio.run(whole())

    return run


@asynccontextmanager
async def serving(callers: Path, tls: TlsFiles | None = None) -> AsyncIterator[str]:
    server = grpc.aio.server(interceptors=[Guard(Gate(Authorizer(Callers(callers))))])
    add_PolicyServiceServicer_to_server(_WhoCalls(), server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    if tls is None:
        port = server.add_insecure_port("localhost:0")
    else:
        port = server.add_secure_port("localhost:0", server_credentials(tls))
    await server.start()
    yield f"localhost:{port}"
    await server.stop(0)


@pytest.fixture
def callers(tmp_path: Path) -> Path:
    """Two callers: one with a token, one with a certificate."""
    path = tmp_path / "callers.yaml"
    digest = hashlib.sha256(b"good").hexdigest()
    path.write_text(
        "callers:\n"
        f"  - {{name: ci, roles: [act], token_sha256: {digest}}}\n"
        "  - {name: robot, roles: [act, admin], certificate: robot}\n"
    )
    return path


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def code_of(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@on_a_loop
async def test_a_call_needs_valid_credentials_and_the_role(callers: Path) -> None:
    """Wrong credentials give UNAUTHENTICATED, a missing role gives PERMISSION_DENIED.

    Health is open to all.
    """
    async with serving(callers) as address, grpc.aio.insecure_channel(address) as channel:
        stub = PolicyServiceStub(channel)
        ask = stub.GetPolicy
        assert await code_of(ask(pb.GetPolicyRequest())) is grpc.StatusCode.UNAUTHENTICATED
        for metadata in (bearer("bad"), bearer(""), (("authorization", "Basic good"),)):
            assert (
                await code_of(ask(pb.GetPolicyRequest(), metadata=metadata))
                is grpc.StatusCode.UNAUTHENTICATED
            )
        answer = await ask(pb.GetPolicyRequest(), metadata=bearer("good"))
        assert answer.policy.name == "ci"
        refused = stub.SetAlias(pb.SetAliasRequest(), metadata=bearer("good"))
        assert await code_of(refused) is grpc.StatusCode.PERMISSION_DENIED
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert await code_of(check) is grpc.StatusCode.OK


@on_a_loop
async def test_streams_are_guarded_too(callers: Path) -> None:
    """A stream is checked before its first message is read."""
    async with serving(callers) as address, grpc.aio.insecure_channel(address) as channel:
        refused = PolicyServiceStub(channel).StreamAct()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await refused.read()
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        call = PolicyServiceStub(channel).StreamAct(metadata=bearer("good"))
        await call.write(pb.StreamActRequest())
        answer = await call.read()
        await call.done_writing()
        assert isinstance(answer, pb.StreamActResponse)
        assert answer.response.policy == "ci"


@on_a_loop
async def test_a_client_certificate_is_a_credential(callers: Path, authority: Any) -> None:
    """A known certificate has its caller's roles. An unknown or expired one is refused."""
    async with serving(callers, authority.issue("server")) as address:
        for name, expired, wanted in [
            ("robot", False, grpc.StatusCode.OK),
            ("stranger", False, grpc.StatusCode.UNAUTHENTICATED),
            ("robot", True, grpc.StatusCode.UNAVAILABLE),
        ]:
            credentials = channel_credentials(authority.certificate, authority.issue(name, expired=expired))
            async with grpc.aio.secure_channel(address, credentials) as channel:
                call = PolicyServiceStub(channel).SetAlias(pb.SetAliasRequest(), timeout=60)
                assert await code_of(call) is wanted, name


@on_a_loop
async def test_a_server_that_wants_certificates_takes_nobody_without(callers: Path, authority: Any) -> None:
    """A good token alone is refused, too."""
    async with serving(callers, authority.issue("server")) as address:
        assert await ask(address, channel_credentials(authority.certificate)) is grpc.StatusCode.UNAVAILABLE


@on_a_loop
async def test_a_renewed_certificate_is_used_without_a_restart(callers: Path, authority: Any) -> None:
    """The next handshake uses it. With a broken one the last good one stays in use."""
    files = authority.issue("server", expired=True)
    tls = TlsFiles(files.certificate, files.key)
    credentials = channel_credentials(authority.certificate)
    async with serving(callers, tls) as address:
        assert await ask(address, credentials) is grpc.StatusCode.UNAVAILABLE
        authority.issue("server")
        assert await ask(address, credentials) is grpc.StatusCode.OK
        files.certificate.write_text("torn")
        assert await ask(address, credentials) is grpc.StatusCode.OK


@on_a_loop
async def test_an_authority_is_replaced_without_a_restart(
    callers: Path, authority: Any, tmp_path: Path
) -> None:
    """Both sides trust both authorities, then the certificate changes, then the old one goes."""
    (tmp_path / "new").mkdir()
    successor = type(authority)(tmp_path / "new", "its successor")
    old, new = authority.certificate.read_text(), successor.certificate.read_text()
    files, robots = authority.issue("server"), (authority.issue("robot"), successor.issue("robot"))
    trusted = tmp_path / "trusted.crt"  # the authorities that clients trust
    trusted.write_text(old + new)

    async def answers(address: str) -> list[bool]:
        codes = [await ask(address, channel_credentials(trusted, robot)) for robot in robots]
        return [code is grpc.StatusCode.OK for code in codes]

    async with serving(callers, files) as address:
        assert await answers(address) == [True, False]
        authority.certificate.write_text(old + new)
        assert await answers(address) == [True, True]
        reissued = successor.issue("server")
        files.key.write_bytes(reissued.key.read_bytes())
        files.certificate.write_bytes(reissued.certificate.read_bytes())
        assert await answers(address) == [True, True]
        authority.certificate.write_text(new)
        trusted.write_text(new)
        assert await answers(address) == [False, True]


async def ask(address: str, credentials: grpc.ChannelCredentials) -> grpc.StatusCode:
    """How a call on a new connection ends."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        stub = PolicyServiceStub(channel)
        return await code_of(stub.GetPolicy(pb.GetPolicyRequest(), metadata=bearer("good"), timeout=60))
