"""Policies, their aliases, and versions that move between repositories."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from policy_api.v1 import policy_pb2
from policyd.client import calls, transfers
from policyd.client.async_connection import AsyncConnection
from policyd.client.connection import Connection


class PolicyCalls:
    """Policies, their aliases, and versions that move between repositories."""

    _connection: Connection

    def get_policy(self, policy: str = "", *, timeout: float | None = None) -> policy_pb2.Policy:
        """Returns one policy with its versions and aliases. NotFound: there is no such policy."""
        return self._connection.send(calls.get_policy(policy), timeout)

    def list_policies(self, *, timeout: float | None = None) -> list[policy_pb2.Policy]:
        """Returns every policy, ordered by name."""
        return self._connection.send(calls.list_policies(), timeout)

    def set_alias(
        self,
        policy: str,
        version: int,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> policy_pb2.SetAliasResponse:
        """Points an alias (`champion` if empty) at a version: promotes it.

        Raises:
            NotFound: no such policy or version.
            FailedPrecondition: the version does not load; the alias stays where it was.
            Conflict: the policy's generation is not `expected_generation`.
        """
        call = calls.set_alias(
            policy=policy,
            version=version,
            alias=alias,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return self._connection.send(call, timeout)

    def rollback_alias(
        self,
        policy: str,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> policy_pb2.RollbackAliasResponse:
        """Points an alias back at the version that it pointed to before.

        Raises FailedPrecondition if there is no earlier version, and otherwise as `set_alias`.
        """
        call = calls.rollback_alias(
            policy=policy, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
        return self._connection.send(call, timeout)

    def export_version(
        self,
        folder: Path,
        policy: str = "",
        *,
        version: int | None = None,
        alias: str | None = None,
        files: Sequence[str] = (),
        timeout: float = transfers.TRANSFER_TIMEOUT,
    ) -> policy_pb2.VersionContents:
        """Copies files of a version into `folder`, checks their digests, and returns their list.

        Without `version` and `alias`, it copies the champion. Without `files`, it copies all files.

        Raises:
            NotFound: no such policy, version, alias or file.
            CorruptArtifact: a file is damaged, on the server or during the transfer.
        """
        request = transfers.export_request(policy, version, alias, files)
        with closing(transfers.Receiver(folder)) as receiver:
            for part in self._connection.export(request, timeout):
                receiver.add(part)
            return receiver.finish()

    def import_version(
        self,
        contents: policy_pb2.VersionContents,
        folder: Path,
        *,
        timeout: float = transfers.TRANSFER_TIMEOUT,
    ) -> policy_pb2.ImportVersionResponse:
        """Publishes the files in `folder` as the next version of their policy.

        `contents` lists the files. If the same content was published before, the response has that
        version.

        Raises:
            InvalidArgument: a name or a digest is wrong.
            FailedPrecondition: the server cannot compute with the model, or cannot write.
            Exhausted: larger than the server allows, or too many imports at a time.
        """
        return self._connection.send(calls.import_version(transfers.send(contents, folder)), timeout)

    def get_server_info(self, *, timeout: float | None = None) -> policy_pb2.GetServerInfoResponse:
        """Returns the server's version and its largest batch.

        Raises Unimplemented if the server is older than 0.2.0.
        """
        return self._connection.send(calls.get_server_info(), timeout)


class AsyncPolicyCalls:
    """As PolicyCalls, for asyncio."""

    _connection: AsyncConnection

    async def get_policy(self, policy: str = "", *, timeout: float | None = None) -> policy_pb2.Policy:
        """As PolicyClient.get_policy."""
        return await self._connection.send(calls.get_policy(policy), timeout)

    async def list_policies(self, *, timeout: float | None = None) -> list[policy_pb2.Policy]:
        """As PolicyClient.list_policies."""
        return await self._connection.send(calls.list_policies(), timeout)

    async def set_alias(
        self,
        policy: str,
        version: int,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> policy_pb2.SetAliasResponse:
        """As PolicyClient.set_alias."""
        call = calls.set_alias(
            policy=policy,
            version=version,
            alias=alias,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return await self._connection.send(call, timeout)

    async def rollback_alias(
        self,
        policy: str,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> policy_pb2.RollbackAliasResponse:
        """As PolicyClient.rollback_alias."""
        call = calls.rollback_alias(
            policy=policy, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
        return await self._connection.send(call, timeout)

    async def export_version(
        self,
        folder: Path,
        policy: str = "",
        *,
        version: int | None = None,
        alias: str | None = None,
        files: Sequence[str] = (),
        timeout: float = transfers.TRANSFER_TIMEOUT,
    ) -> policy_pb2.VersionContents:
        """As PolicyClient.export_version."""
        request = transfers.export_request(policy, version, alias, files)
        with closing(transfers.Receiver(folder)) as receiver:
            async for part in self._connection.export(request, timeout):
                receiver.add(part)
            return receiver.finish()

    async def import_version(
        self,
        contents: policy_pb2.VersionContents,
        folder: Path,
        *,
        timeout: float = transfers.TRANSFER_TIMEOUT,
    ) -> policy_pb2.ImportVersionResponse:
        """As PolicyClient.import_version."""
        return await self._connection.send(calls.import_version(transfers.send(contents, folder)), timeout)

    async def get_server_info(self, *, timeout: float | None = None) -> policy_pb2.GetServerInfoResponse:
        """As PolicyClient.get_server_info."""
        return await self._connection.send(calls.get_server_info(), timeout)
