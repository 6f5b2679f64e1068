"""The project's own services as JSON: what goes in, what comes out, and how mistakes are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policy_api.v1 import policy_pb2
from tests.policyd_server.http.conftest import Client
from tests.policyd_server.http.trainer import Trainer
from tests.policyd_server.process import ServerProcess

ACT = "/v1/policies/cartpole:act"
ROWS = [[0.1, -0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, -1.0, -2.0]]


def test_act_gives_what_grpc_gives(client: Client, server: ServerProcess) -> None:
    """The same seed gives the same actions, probabilities and receipt.

    There is one list per row, and the seed is a string of digits.
    """
    seed = 2**63 + 1  # JavaScript would round it
    told = client.post(ACT, {"observations": ROWS, "seed": str(seed)}).json
    raw = np.array(ROWS, np.float32).tobytes()
    request = policy_pb2.ActRequest(policy="cartpole", seed=seed)
    request.observations.raw = raw
    expected = server.policy.Act(request, timeout=60)
    assert (told["policy"], told["version"], told["digest"]) == ("cartpole", 1, expected.digest)
    assert told["seed"] == str(seed)
    assert told["batch_size"] == 3
    assert told["actions"] == np.frombuffer(expected.actions.raw, "<i8").tolist()
    probabilities = np.frombuffer(expected.action_probs.raw, "<f4").reshape(3, 2)
    np.testing.assert_array_equal(np.array(told["action_probs"], np.float32), probabilities)
    assert len(told["log_probs"]) == len(told["values"]) == 3


def test_act_takes_what_the_contract_takes(client: Client) -> None:
    """A flat observation, a version, a mask, a temperature and the mode are accepted.

    Numbers may come as a browser sends them.
    """
    assert client.post(ACT, {"observations": ROWS[0]}).json["batch_size"] == 1
    assert client.post(ACT, {"observations": ROWS, "version": 2}).json["version"] == 2
    assert client.post(ACT, {"observations": ROWS, "alias": "champion"}).json["version"] == 1
    masked = {"observations": ROWS, "action_mask": [[True, False]] * 3, "temperature": 2}
    assert client.post("/v1/policies/masked:act", masked).json["actions"] == [0, 0, 0]
    mode = client.post(ACT, {"observations": ROWS, "deterministic": True, "seed": None}).json
    assert mode["seed"] == "0"


WRONG: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "observations"),
    "a row too short": ({"observations": [1, 2, 3]}, "observations"),
    "texts": ({"observations": ["a"] * 4}, "observations"),
    "an object": ({"observations": {}}, "observations"),
    "ragged": ({"observations": [[1, 2, 3, 4], [1]]}, "observations"),
    "a huge number": ({"observations": [1e300, 0, 0, 0]}, "observations"),
    "a huge whole number": ({"observations": [10**400, 0, 0, 0]}, "observations"),
    "NaN": (b'{"observations": [NaN, 0, 0, 0]}', "body"),
    "an unknown field": ({"observations": ROWS, "sead": 1}, "sead"),
    "a policy in the body": ({"observations": ROWS, "policy": "masked"}, "policy"),
    "a seed below 0": ({"observations": ROWS, "seed": -1}, "seed"),
    "a seed too large": ({"observations": ROWS, "seed": 2**64}, "seed"),
    "half a seed": ({"observations": ROWS, "seed": 1.5}, "seed"),
    "true for a seed": ({"observations": ROWS, "seed": True}, "seed"),
    "a text for a flag": ({"observations": ROWS, "deterministic": "yes"}, "deterministic"),
    "no temperature": ({"observations": ROWS, "temperature": 0}, "temperature"),
    "an infinite temperature": ({"observations": ROWS, "temperature": 1e300}, "temperature"),
    "a short mask": ({"observations": ROWS, "action_mask": [True]}, "action_mask"),
    "a mask of texts": ({"observations": ROWS, "action_mask": ["x"]}, "action_mask"),
    "a wrong step": ({"observations": ROWS, "decisions": [{"step": "x"}]}, "decisions[0].step"),
    "no base64": ({"typed_observations": "%"}, "typed_observations"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(client: Client, name: str) -> None:
    """The response has status 400 and the field."""
    body, field = WRONG[name]
    answer = client.post(ACT, body)
    assert answer.status == 400, answer.body
    assert [each["field"] for each in answer.json["fields"]] == [field], answer.json


def test_policies(client: Client) -> None:
    """The list, one policy with its versions and history, and the server can be read."""
    assert [policy["name"] for policy in client.get("/v1/policies").json["policies"]] == [
        "cartpole",
        "masked",
        "moving",
    ]
    policy = client.get("/v1/policies/cartpole").json
    assert [version["version"] for version in policy["versions"]] == [1, 2]
    assert policy["aliases"][0]["history"][0]["reason"] == "first"
    assert policy["versions"][0]["metadata"]["observation_space"]["box"]["low"] == [-10.0]
    assert client.get("/v1/server").json["max_batch_rows"] == 16384
    absent = client.get("/v1/policies/nope")
    assert (absent.status, absent.json["reason"]) == (404, "NO_SUCH_POLICY")


def test_promote_and_roll_back(client: Client) -> None:
    """Both take a reason and compare-and-set: an older generation is refused with 409."""
    path = "/v1/policies/moving/aliases/champion"
    generation = client.get("/v1/policies/moving").json["generation"]
    set_to_2 = {"version": 2, "expected_generation": generation, "reason": "<script>alert(1)</script>"}
    told = client.ask("PUT", path, set_to_2).json
    assert told["alias"]["serving_version"] == 2
    assert told["alias"]["history"][-1]["reason"] == set_to_2["reason"]
    late = client.ask("PUT", path, set_to_2)
    assert (late.status, late.json["code"]) == (409, "ABORTED")
    back = client.post(f"{path}:rollback", {"reason": "worse"}).json
    assert back["alias"]["version"] == 1
    assert client.post(f"{path}:rollback", {}).status == 400
    assert client.ask("PUT", path, {"version": 99}).status == 404
    assert client.ask("PUT", path, {"version": "x"}).json["fields"][0]["field"] == "version"


def test_files_of_a_version(client: Client) -> None:
    """A file comes whole, in a form that a browser does not run.

    Another name than that of a file is refused.
    """
    answer = client.get("/v1/policies/cartpole/versions/1/files/model.onnx")
    assert answer.status == 200
    assert answer.headers["content-security-policy"].startswith("sandbox")
    version = client.get("/v1/policies/cartpole").json["versions"][0]
    assert answer.headers["etag"] == f'"{version["digest"]}"'
    assert b"observations" in answer.body
    base = "/v1/policies/cartpole/versions/1/files"
    for name in ("nope.txt", "..%2f..%2f..%2faliases%2fcartpole.json", "%2fetc%2fpasswd", "..", "%00"):
        answer = client.get(f"{base}/{name}")
        assert answer.status in (400, 404), (name, answer)
        assert answer.json["error"]


def test_jobs(client: Client, trainer: Trainer) -> None:
    """Jobs are submitted, read, listed and cancelled.

    Settings are plain JSON, a duration is in seconds, and a time is a text.
    """
    spec = {
        "policy": "cartpole",
        "env_id": "CartPole-v1",
        "algorithm": "a2c",
        "settings": {"total_timesteps": 1000, "hidden_sizes": [64, 64], "device": "auto"},
        "promotion": {"promote": True, "gate": {"criterion": "NOT_WORSE", "margin": 1}},
    }
    request = {"spec": spec, "request_id": "ci-1", "priority": 5, "limits": {"time_limit": 90.5}}
    job = client.ask("POST", "/v1/jobs", request, {"x-request-id": "abc"}).json
    assert trainer.metadata["x-request-id"] == "abc"
    assert "authorization" not in trainer.metadata
    assert job["state"] == "QUEUED"
    assert job["create_time"] == "2023-11-14T22:13:20Z"
    assert job["limits"]["time_limit"] == 90.5
    assert job["spec"]["settings"] == {
        "total_timesteps": "1000",
        "hidden_sizes": "[64, 64]",
        "device": "auto",
    }
    assert client.post("/v1/jobs", request).status == 409
    path = f"/v1/jobs/{job['job_id']}"
    assert client.get(path).json["job_id"] == job["job_id"]
    assert client.get("/v1/jobs?policy=cartpole&page_size=1").json["jobs"][0]["job_id"] == job["job_id"]
    assert client.get("/v1/jobs?page_size=x").json["fields"][0]["field"] == "page_size"
    assert client.get("/v1/jobs?size=1").json["fields"][0]["field"] == "size"
    assert client.post(f"{path}:cancel", {"reason": "no longer needed"}).json["state"] == "CANCELLED"
    assert client.get(f"{path}/log").body == b"first <b>line</b>\nlast\n"
    assert client.get(f"{path}/log?follow=true").headers["content-type"].startswith("text/plain")
    wrong = client.post("/v1/jobs", {"spec": {**spec, "settings": {"gamma": 2}}})
    assert wrong.json["fields"][0]["field"] == "settings[gamma]"
    assert client.post("/v1/jobs:check", {"spec": spec}).json["settings"]["device"] == "auto"
    wrong = client.post("/v1/jobs:check", {"spec": {"settings": {"gamma": 2}}})
    assert (wrong.status, wrong.json["fields"][0]["field"]) == (400, "settings[gamma]")
    nested = client.post("/v1/jobs", {"spec": {"promotion": {"gate": {"criterion": "BEST"}}}})
    assert nested.json["fields"][0]["field"] == "spec.promotion.gate.criterion"
    assert client.get("/v1/jobs/nope").status == 404
