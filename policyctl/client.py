"""PolicyClient: acting, policies, aliases and training jobs of one policyd server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Unpack

from policy_api.v1 import policy_pb2, policy_pb2_grpc, training_pb2, training_pb2_grpc
from policyctl import channel, watching
from policyctl.access import ANYBODY, Access
from policyctl.acting import Actions, ActOptions, Observations, act_request, actions_of
from policyctl.closing import Closing
from policyctl.streaming import ActStream


class PolicyClient(Closing):
    """A connection to one server. Safe to share between threads; reconnects by itself.

    Every method raises the errors of `policy_api.errors`. `timeout` is in seconds, for one call.
    """

    def __init__(
        self,
        address: str = channel.DEFAULT_ADDRESS,
        *,
        timeout: float = channel.DEFAULT_TIMEOUT,
        access: Access = ANYBODY,
    ) -> None:
        self.address = address
        self._timeout = timeout
        self._metadata = access.metadata
        self._channel = channel.open_channel(address, access)
        self._policies = policy_pb2_grpc.PolicyServiceStub(self._channel)
        self._training = training_pb2_grpc.TrainingServiceStub(self._channel)

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._channel.close()

    # Acting

    def act(
        self, observations: Observations, *, timeout: float | None = None, **options: Unpack[ActOptions]
    ) -> Actions:
        """Asks for one action for each observation of [batch, ...]; one flat observation is a batch of one.

        `options` are ActOptions: policy, version or alias, seed, deterministic, action_mask and so on. With
        `space` the observations are what an environment answers: dicts, images, whatever the space has.
        """
        request = act_request(observations, **options)
        with channel.domain_errors(self.address):
            return actions_of(
                self._policies.Act(request, timeout=timeout or self._timeout, metadata=self._metadata)
            )

    def stream(self, *, pin_version: bool = False, timeout: float | None = None) -> ActStream:
        """A stream for a loop: answers in order, over one call, which ends after `timeout` seconds.

        `pin_version`: the version that answers first answers to its end, whatever is promoted meanwhile.
        """
        return ActStream(
            lambda messages: self._policies.StreamAct(messages, timeout=timeout, metadata=self._metadata),
            self.address,
            pin_version=pin_version,
        )

    # Policies

    def get_policy(self, policy: str = "") -> policy_pb2.Policy:
        """One policy with its versions and aliases; NotFound."""
        request = policy_pb2.GetPolicyRequest(policy=policy)
        with channel.domain_errors(self.address):
            return self._policies.GetPolicy(request, timeout=self._timeout, metadata=self._metadata).policy

    def list_policies(self) -> list[policy_pb2.Policy]:
        """Every policy, by name."""
        with channel.domain_errors(self.address):
            answer = self._policies.ListPolicies(
                policy_pb2.ListPoliciesRequest(), timeout=self._timeout, metadata=self._metadata
            )
        return list(answer.policies)

    def set_alias(
        self,
        policy: str,
        version: int,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
    ) -> policy_pb2.SetAliasResponse:
        """Promotes a version; NotFound, FailedPrecondition, Conflict where the generation is another."""
        request = policy_pb2.SetAliasRequest(
            policy=policy,
            version=version,
            alias=alias,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        with channel.domain_errors(self.address):
            return self._policies.SetAlias(request, timeout=self._timeout, metadata=self._metadata)

    def rollback_alias(
        self,
        policy: str,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
    ) -> policy_pb2.RollbackAliasResponse:
        """Points the alias at what it named before; FailedPrecondition where there is nothing before."""
        request = policy_pb2.RollbackAliasRequest(
            policy=policy, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
        with channel.domain_errors(self.address):
            return self._policies.RollbackAlias(request, timeout=self._timeout, metadata=self._metadata)

    # Training

    def create_training_job(
        self,
        spec: training_pb2.TrainingSpec,
        *,
        request_id: str = "",
        priority: int = 0,
        limits: training_pb2.JobLimits | None = None,
    ) -> training_pb2.TrainingJob:
        """Queues a job. The same `request_id` and spec answer the same job; empty: a new job."""
        request = training_pb2.CreateTrainingJobRequest(
            spec=spec, request_id=request_id or uuid.uuid4().hex, priority=priority, limits=limits
        )
        with channel.domain_errors(self.address):
            return self._training.CreateTrainingJob(
                request, timeout=self._timeout, metadata=self._metadata
            ).job

    def get_training_job(self, job_id: str) -> training_pb2.TrainingJob:
        """One job as it is now; NotFound."""
        request = training_pb2.GetTrainingJobRequest(job_id=job_id)
        with channel.domain_errors(self.address):
            return self._training.GetTrainingJob(request, timeout=self._timeout, metadata=self._metadata).job

    def list_training_jobs(self, policy: str = "", *, limit: int = 100) -> list[training_pb2.TrainingJob]:
        """The newest `limit` jobs, of one policy or of all."""
        jobs: list[training_pb2.TrainingJob] = []
        request = training_pb2.ListTrainingJobsRequest(policy=policy)
        while len(jobs) < limit:
            request.page_size = min(limit - len(jobs), 1000)
            with channel.domain_errors(self.address):
                page = self._training.ListTrainingJobs(
                    request, timeout=self._timeout, metadata=self._metadata
                )
            jobs.extend(page.jobs)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return jobs

    def watch_training_job(
        self, job_id: str, *, timeout: float | None = None, patience: float = 30.0
    ) -> Iterator[training_pb2.TrainingJob]:
        """Yields the job now and at each change until it ends, also across a restart of the server.

        DeadlineExceeded after `timeout` seconds; Unavailable after `patience` seconds without a server.
        """
        return watching.follow(
            lambda seconds: self._subscribe(job_id, seconds), job_id, timeout=timeout, patience=patience
        )

    def cancel_training_job(self, job_id: str) -> training_pb2.TrainingJob:
        """Asks for the job's end and returns at once; a finished job stays as it is. NotFound."""
        request = training_pb2.CancelTrainingJobRequest(job_id=job_id)
        with channel.domain_errors(self.address):
            return self._training.CancelTrainingJob(
                request, timeout=self._timeout, metadata=self._metadata
            ).job

    def _subscribe(self, job_id: str, seconds: float) -> Iterator[training_pb2.TrainingJob]:
        request = training_pb2.WatchTrainingJobRequest(job_id=job_id)
        with channel.domain_errors(self.address):
            call = self._training.WatchTrainingJob(request, timeout=seconds, metadata=self._metadata)
            try:
                for answer in call:
                    yield answer.job
            finally:
                call.cancel()
