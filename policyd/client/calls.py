"""Every call of the contract but the streams: its request, and what its response means.

No transport.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar, Unpack

from policy_api.v1 import experience_pb2, policy_pb2, traffic_pb2, training_pb2
from policyd.client.acting import ActCodec, Actions, ActOptions, Observations
from policyd.client.messages import build
from policyd.errors import InvalidArgument

Result = TypeVar("Result")

#: Jobs in one page of a list; the server allows no more.
MAX_PAGE = 1000
#: The formats of a file of episodes.
EXPORT_FORMATS = {
    "minari": experience_pb2.ExportEpisodesRequest.MINARI,
    "parquet": experience_pb2.ExportEpisodesRequest.PARQUET,
}


class Call(NamedTuple, Generic[Result]):
    """One call with one response, ready to be sent by either client."""

    service: Literal["policies", "training", "experience", "traffic"]
    method: str
    request: Any
    decode: Callable[[Any], Result]


def act(observations: Observations, **options: Unpack[ActOptions]) -> Call[Actions]:
    """Asks for actions for observations [batch, ...].

    Raises TypeError and InvalidArgument as ActCodec.
    """
    codec = ActCodec(observations, **options)
    return Call("policies", "Act", codec.request, codec.decode)


def get_policy(policy: str) -> Call[policy_pb2.Policy]:
    """Asks for one policy."""
    request = build(policy_pb2.GetPolicyRequest, policy=policy)
    return Call("policies", "GetPolicy", request, lambda response: response.policy)


def list_policies() -> Call[list[policy_pb2.Policy]]:
    """Asks for all policies."""
    request = policy_pb2.ListPoliciesRequest()
    return Call("policies", "ListPolicies", request, lambda response: list(response.policies))


def get_server_info() -> Call[policy_pb2.GetServerInfoResponse]:
    """Asks for the server's release and limits."""
    return Call("policies", "GetServerInfo", policy_pb2.GetServerInfoRequest(), _itself)


def set_alias(**fields: Any) -> Call[policy_pb2.SetAliasResponse]:
    """Points an alias at a version; the fields of SetAliasRequest."""
    return Call("policies", "SetAlias", build(policy_pb2.SetAliasRequest, **fields), _itself)


def rollback_alias(**fields: Any) -> Call[policy_pb2.RollbackAliasResponse]:
    """Points an alias back; the fields of RollbackAliasRequest."""
    return Call("policies", "RollbackAlias", build(policy_pb2.RollbackAliasRequest, **fields), _itself)


def import_version(
    messages: Iterator[policy_pb2.ImportVersionRequest],
) -> Call[policy_pb2.ImportVersionResponse]:
    """Publishes the version whose files the messages carry."""
    return Call("policies", "ImportVersion", messages, _itself)


def report_outcomes(
    policy: str, outcomes: Sequence[experience_pb2.Outcome]
) -> Call[experience_pb2.ReportOutcomesResponse]:
    """Reports the outcomes of decisions."""
    request = build(experience_pb2.ReportOutcomesRequest, policy=policy, outcomes=outcomes)
    return Call("experience", "ReportOutcomes", request, _itself)


def get_experience(policy: str) -> Call[experience_pb2.GetExperienceResponse]:
    """Asks for what a policy has recorded."""
    request = build(experience_pb2.GetExperienceRequest, policy=policy)
    return Call("experience", "GetExperience", request, _itself)


def set_experience_config(**fields: Any) -> Call[experience_pb2.SetExperienceConfigResponse]:
    """Changes what a policy records; the fields of SetExperienceConfigRequest."""
    request = build(experience_pb2.SetExperienceConfigRequest, **fields)
    return Call("experience", "SetExperienceConfig", request, _itself)


def export_episodes(policy: str, format: str, version: int) -> experience_pb2.ExportEpisodesRequest:  # noqa: A002
    """Returns the request for a file of episodes.

    Raises InvalidArgument if `format` is neither `minari` nor `parquet`.
    """
    if format not in EXPORT_FORMATS:
        raise InvalidArgument.of("format", got=format, wanted=" or ".join(EXPORT_FORMATS))
    return build(
        experience_pb2.ExportEpisodesRequest, policy=policy, format=EXPORT_FORMATS[format], version=version
    )


def delete_episodes(**fields: Any) -> Call[int]:
    """Deletes episodes; the fields of DeleteEpisodesRequest."""
    request = build(experience_pb2.DeleteEpisodesRequest, **fields)
    return Call("experience", "DeleteEpisodes", request, lambda response: int(response.episodes))


def get_traffic(policy: str) -> Call[traffic_pb2.Traffic]:
    """Asks which versions share a policy's aliases."""
    request = build(traffic_pb2.GetTrafficRequest, policy=policy)
    return Call("traffic", "GetTraffic", request, _traffic)


def set_traffic(**fields: Any) -> Call[traffic_pb2.Traffic]:
    """Makes versions share an alias; the fields of SetTrafficRequest."""
    return Call("traffic", "SetTraffic", build(traffic_pb2.SetTrafficRequest, **fields), _traffic)


def set_shadow(**fields: Any) -> Call[traffic_pb2.Traffic]:
    """Begins or ends a shadow; the fields of SetShadowRequest."""
    return Call("traffic", "SetShadow", build(traffic_pb2.SetShadowRequest, **fields), _traffic)


def compare_versions(policy: str) -> Call[list[traffic_pb2.Comparison]]:
    """Asks how a policy's shadows compare with the versions that answered."""
    request = build(traffic_pb2.CompareVersionsRequest, policy=policy)
    return Call("traffic", "CompareVersions", request, lambda response: list(response.comparisons))


def start_canary(**fields: Any) -> Call[traffic_pb2.Traffic]:
    """Begins a canary; the fields of StartCanaryRequest."""
    return Call("traffic", "StartCanary", build(traffic_pb2.StartCanaryRequest, **fields), _traffic)


def cancel_canary(**fields: Any) -> Call[traffic_pb2.Traffic]:
    """Ends a canary; the fields of CancelCanaryRequest."""
    return Call("traffic", "CancelCanary", build(traffic_pb2.CancelCanaryRequest, **fields), _traffic)


def evaluate_version(**fields: Any) -> Call[traffic_pb2.EvaluateVersionResponse]:
    """Estimates a version's return from recorded episodes; the fields of EvaluateVersionRequest."""
    request = build(traffic_pb2.EvaluateVersionRequest, **fields)
    return Call("traffic", "EvaluateVersion", request, _itself)


def create_training_job(
    spec: training_pb2.TrainingSpec,
    request_id: str,
    priority: int,
    limits: training_pb2.JobLimits | None,
    actor: str = "",
    resources: training_pb2.JobResources | None = None,
) -> Call[training_pb2.TrainingJob]:
    """Creates a job. A request without an id gets a random one, so a retry starts no second job."""
    request = build(
        training_pb2.CreateTrainingJobRequest,
        spec=spec,
        request_id=request_id or uuid.uuid4().hex,
        priority=priority,
        limits=limits,
        actor=actor,
        resources=resources,
    )
    return Call("training", "CreateTrainingJob", request, _job)


def get_training_job(job_id: str) -> Call[training_pb2.TrainingJob]:
    """Asks for one job."""
    return Call("training", "GetTrainingJob", build(training_pb2.GetTrainingJobRequest, job_id=job_id), _job)


def cancel_training_job(job_id: str) -> Call[training_pb2.TrainingJob]:
    """Asks the trainer to end a job."""
    request = build(training_pb2.CancelTrainingJobRequest, job_id=job_id)
    return Call("training", "CancelTrainingJob", request, _job)


class JobPages:
    """Lists jobs page by page: send `next_call()` and `add` its result until it is None."""

    def __init__(self, policy: str, limit: Any) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidArgument.of("limit", got=repr(limit), wanted="a whole number, 1 or above")
        self._limit = limit
        self._request = build(training_pb2.ListTrainingJobsRequest, policy=policy)
        self._is_last = False
        self.jobs: list[training_pb2.TrainingJob] = []

    def next_call(self) -> Call[training_pb2.ListTrainingJobsResponse] | None:
        """Returns the call for the next page. None: `jobs` is complete."""
        left = self._limit - len(self.jobs)
        if self._is_last or left <= 0:
            return None
        self._request.page_size = min(left, MAX_PAGE)
        return Call("training", "ListTrainingJobs", self._request, _itself)

    def add(self, page: training_pb2.ListTrainingJobsResponse) -> None:
        """Adds the jobs of a page."""
        self.jobs.extend(page.jobs)
        self._request.page_token = page.next_page_token
        self._is_last = not page.next_page_token


def _traffic(response: Any) -> traffic_pb2.Traffic:
    found: traffic_pb2.Traffic = response.traffic
    return found


def _itself(response: Any) -> Any:
    return response


def _job(response: Any) -> training_pb2.TrainingJob:
    job: training_pb2.TrainingJob = response.job
    return job
