"""The services' methods that the page calls."""

from __future__ import annotations

from policyd_server.http.calls import Method

_POLICY = "policy_api.v1.PolicyService"
_TRAINING = "policy_api.v1.TrainingService"
_TRAFFIC = "policy_api.v1.TrafficService"
_EXPERIENCE = "policy_api.v1.ExperienceService"

ACT = Method.named(_POLICY, "Act")
LIST_POLICIES = Method.named(_POLICY, "ListPolicies")
GET_POLICY = Method.named(_POLICY, "GetPolicy")
EXPORT_VERSION = Method.named(_POLICY, "ExportVersion")
SET_ALIAS = Method.named(_POLICY, "SetAlias")
ROLLBACK_ALIAS = Method.named(_POLICY, "RollbackAlias")
SERVER_INFO = Method.named(_POLICY, "GetServerInfo")
CREATE_JOB = Method.named(_TRAINING, "CreateTrainingJob")
GET_JOB = Method.named(_TRAINING, "GetTrainingJob")
LIST_JOBS = Method.named(_TRAINING, "ListTrainingJobs")
CHECK_SPEC = Method.named(_TRAINING, "CheckTrainingSpec")
READ_LOG = Method.named(_TRAINING, "ReadTrainingJobLog")
CANCEL_JOB = Method.named(_TRAINING, "CancelTrainingJob")
GET_EXPERIENCE = Method.named(_EXPERIENCE, "GetExperience")
SET_EXPERIENCE = Method.named(_EXPERIENCE, "SetExperienceConfig")
COMPARE_VERSIONS = Method.named(_TRAFFIC, "CompareVersions")
SET_SHADOW = Method.named(_TRAFFIC, "SetShadow")
GET_TRAFFIC = Method.named(_TRAFFIC, "GetTraffic")
START_CANARY = Method.named(_TRAFFIC, "StartCanary")
CANCEL_CANARY = Method.named(_TRAFFIC, "CancelCanary")
