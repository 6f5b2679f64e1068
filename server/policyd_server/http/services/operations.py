"""Every path of the services: what it calls, and what of the request goes into which field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policyd_server.http.calls import Method

_POLICY, _TRAINING = "policy_api.v1.PolicyService", "policy_api.v1.TrainingService"
_EXPERIENCE = "policy_api.v1.ExperienceService"


@dataclass(frozen=True)
class Operation:
    """One path with one verb. Names in the path are fields of the request message."""

    verb: Literal["GET", "POST", "PUT"]
    path: str
    method: Method
    tag: str
    summary: str
    body: tuple[str, ...] = ()  # fields that the JSON body may set
    query: tuple[str, ...] = ()  # fields that the query may set
    answer: str = ""  # the field of the response message that is sent; empty: the whole message
    kind: Literal["json", "act", "events", "text", "file"] = "json"  # how the response is sent

    @property
    def name(self) -> str:
        """The method's name, which is also the operation's id in the document."""
        return self.method.path.rpartition("/")[2]


def _operation(  # noqa: PLR0913 -- one argument per column of a table
    verb: Literal["GET", "POST", "PUT"],
    path: str,
    service: str,
    method: str,
    summary: str,
    *,
    body: str = "",
    query: str = "",
    answer: str = "",
    kind: Literal["json", "act", "events", "text", "file"] = "json",
) -> Operation:
    named = Method.named(service, method)
    tag = path.split("/")[2].partition(":")[0]
    fields = tuple(body.split()), tuple(query.split())
    return Operation(verb, path, named, tag, summary, *fields, answer, kind)


_ACT = (
    "version alias observations typed_observations seed first_row deterministic action_mask temperature "
    "decisions"
)
_ALIAS = "/v1/policies/{policy}/aliases/{alias}"

OPERATIONS: tuple[Operation, ...] = (
    _operation("GET", "/v1/server", _POLICY, "GetServerInfo", "The server's release and limits"),
    _operation("GET", "/v1/policies", _POLICY, "ListPolicies", "Every policy"),
    _operation("GET", "/v1/policies/{policy}", _POLICY, "GetPolicy", "One policy", answer="policy"),
    _operation(
        "POST", "/v1/policies/{policy}:act", _POLICY, "Act", "Actions for a batch", body=_ACT, kind="act"
    ),
    _operation(
        "PUT",
        _ALIAS,
        _POLICY,
        "SetAlias",
        "Point an alias at a version (promote it)",
        body="version expected_generation actor reason",
    ),
    _operation(
        "POST",
        f"{_ALIAS}:rollback",
        _POLICY,
        "RollbackAlias",
        "Point an alias back at what it named before",
        body="expected_generation actor reason",
    ),
    _operation(
        "GET",
        "/v1/policies/{policy}/versions/{version}/files/{files}",
        _POLICY,
        "ExportVersion",
        "One file of a version, such as model.onnx or report.html",
        kind="file",
    ),
    _operation(
        "POST",
        "/v1/policies/{policy}/outcomes",
        _EXPERIENCE,
        "ReportOutcomes",
        "Report what came of decisions",
        body="outcomes",
    ),
    _operation(
        "GET",
        "/v1/policies/{policy}/experience",
        _EXPERIENCE,
        "GetExperience",
        "What has been recorded of a policy's decisions",
    ),
    _operation(
        "POST",
        "/v1/jobs",
        _TRAINING,
        "CreateTrainingJob",
        "Queue a training job",
        body="spec request_id priority limits actor reason",
        answer="job",
    ),
    _operation(
        "GET",
        "/v1/jobs",
        _TRAINING,
        "ListTrainingJobs",
        "Training jobs, newest first",
        query="policy page_size page_token",
    ),
    _operation(
        "POST",
        "/v1/jobs:check",
        _TRAINING,
        "CheckTrainingSpec",
        "Validate what a job would be made of, without making one",
        body="spec",
    ),
    _operation("GET", "/v1/jobs/{job_id}", _TRAINING, "GetTrainingJob", "One job", answer="job"),
    _operation(
        "POST",
        "/v1/jobs/{job_id}:cancel",
        _TRAINING,
        "CancelTrainingJob",
        "Ask for the end of a job",
        body="reason",
        answer="job",
    ),
    _operation(
        "GET",
        "/v1/jobs/{job_id}/events",
        _TRAINING,
        "WatchTrainingJob",
        "Watch a job: an event at each change, until it has ended",
        answer="job",
        kind="events",
    ),
    _operation(
        "GET",
        "/v1/jobs/{job_id}/log",
        _TRAINING,
        "ReadTrainingJobLog",
        "The log of a job's worker",
        query="follow",
        kind="text",
    ),
)
