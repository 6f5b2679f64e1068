"""Ids of calls, in the log of a real server."""

from __future__ import annotations

import json
import re
from typing import Any

import grpc
import numpy as np
import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import Publish, ServerProcess, StartServer

MADE = re.compile("[0-9a-f]{16}")


def _lines(server: ServerProcess, **having: str) -> list[dict[str, Any]]:
    """The log lines with these fields."""
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in lines if having.items() <= line.items()]


def _promote(server: ServerProcess, *metadata: tuple[str, str]) -> str:
    """The id of a promotion in the audit log, which is written before the response."""
    before = len(_lines(server, logger="policyd.audit"))
    request = pb.SetAliasRequest(policy="cartpole", alias="champion", version=1)
    server.policy.SetAlias(request, metadata=metadata, timeout=60)
    [line] = _lines(server, logger="policyd.audit")[before:]
    return str(line["request_id"])


def test_the_callers_id_is_taken(start_server: StartServer, publish: Publish) -> None:
    """An id that a log may contain is taken. Otherwise the server makes one for each call."""
    publish()
    server = start_server("--log-format", "json")
    assert _promote(server, ("x-request-id", "ci/42")) == "ci/42"
    made = [
        _promote(server, *metadata)
        for metadata in ((), (), (("x-request-id", "two words"),), (("x-request-id", "x" * 65),))
    ]
    assert all(MADE.fullmatch(each) for each in made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("given", [(), (("x-request-id", "loop-7"),)])
def test_an_unexpected_error_is_found_by_its_id(
    repository: ModelRepository,
    start_server: StartServer,
    given: tuple[tuple[str, str], ...],
) -> None:
    """The client gets the id of the log line with the traceback.

    That holds for Act, too, for which no id is made otherwise.
    """
    described = artifacts.metadata("fragile")
    repository.publish("fragile", {"model.onnx": artifacts.fragile(described)}, metadata=described)
    repository.set_alias("fragile", "champion", 1, actor="", reason="")
    server = start_server("--log-format", "json")
    server.may_fail = True
    bad = pb.FloatArray(raw=np.full((1, 4), 1000, np.float32).tobytes())
    with pytest.raises(grpc.RpcError) as caught:
        server.policy.Act(pb.ActRequest(observations=bad), metadata=given, timeout=60)
    told = str(caught.value.details()).rpartition(" ")[2]
    [line] = _lines(server, level="ERROR", request_id=told)
    assert "exception" in line
    assert told == "loop-7" if given else MADE.fullmatch(told)
