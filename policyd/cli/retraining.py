"""The configuration of `policyctl retrain`, its messages and its JSON Schema.

`python -m policyd.cli.retraining` writes the JSON Schema of CONFIG.yaml, which editors use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from policy_api.v1 import gate_pb2, training_pb2
from policyd.cli.durations import seconds_of
from policyd.errors import InvalidArgument

SCHEMA_FILE = Path(__file__).with_name("retrain.schema.json")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Seconds = Annotated[float, BeforeValidator(lambda value: seconds_of(str(value)))]


_EPISODES = ("block_episodes", "max_episodes")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Gate(_Part):
    """How the new version is compared with the version that the alias points to."""

    criterion: Literal["better", "not_worse", "always"] = Field(
        default="better",
        description="What the new version must be: better, not worse than margin, or only above min_return.",
    )
    margin: float = Field(
        default=0.0, ge=0, description="For not_worse: the loss of mean return that is accepted."
    )
    mode: Literal["combined", "greedy", "sampled"] = Field(
        default="combined",
        description="Which returns are compared; combined: the mean of both for each seed.",
    )
    block_episodes: int = Field(default=20, ge=10, le=1000, description="Episodes between two comparisons.")
    max_episodes: int = Field(
        default=500,
        ge=10,
        le=10_000,
        description="Episodes after which the comparison ends without a result.",
    )
    error_rate: float = Field(default=0.05, gt=0, le=0.2, description="Largest chance of a wrong promotion.")

    def to_message(self) -> gate_pb2.GateConfig:
        """Returns the gate as a message of the contract.

        Numbers of episodes that were not given stay unset: unlike given ones, the trainer may lower
        them so that judging fits into its steps.
        """
        given = {name: getattr(self, name) for name in _EPISODES if name in self.model_fields_set}
        return gate_pb2.GateConfig(
            criterion=gate_pb2.GateConfig.Criterion.Value(self.criterion.upper()),
            margin=self.margin,
            mode=gate_pb2.GateConfig.Mode.Value(self.mode.upper()),
            error_rate=self.error_rate,
            **given,
        )


class Promotion(_Part):
    """Whether the alias may point to the new version."""

    promote: bool = Field(default=True, description="Whether the alias may point to the new version.")
    alias: Name = Field(default="champion", description="The alias that may point to the new version.")
    min_return: float | None = Field(
        default=None, description="Smallest mean return of the greedy evaluation."
    )
    gate: Gate | None = Field(
        default=None, description="How it is compared with the version of the alias; null: the defaults."
    )


class Limits(_Part):
    """Limits that end the job early."""

    time_limit: Seconds | None = Field(
        default=None,
        description="Time limit of all attempts together: seconds, or a duration such as 30m or 1h30m.",
        json_schema_extra={"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]},
    )
    env_steps: int = Field(
        default=0, ge=0, description="Limit of environment steps; 0: the trainer's own limit."
    )

    def to_message(self) -> training_pb2.JobLimits:
        """Returns the limits as a message of the contract."""
        limits = training_pb2.JobLimits(env_steps=self.env_steps)
        if self.time_limit is not None:
            limits.time_limit.FromNanoseconds(int(self.time_limit * 1e9))
        return limits


class Resources(_Part):
    """What the job's worker needs, for a trainer with `--launcher ray`."""

    cpus: float = Field(default=0, ge=0, description="Processors to reserve; 0: 1.")
    gpus: float = Field(default=0, ge=0, description="GPUs to reserve.")
    memory_mb: int = Field(default=0, ge=0, description="Memory to reserve, megabytes.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels that the machine must have, such as zone: a."
    )

    def to_message(self) -> training_pb2.JobResources:
        """Returns the resources as a message of the contract."""
        return training_pb2.JobResources(
            cpus=self.cpus, gpus=self.gpus, memory_bytes=self.memory_mb * 10**6, labels=self.labels
        )


class Retraining(_Part):
    """One training run. Unknown keys are errors; settings are checked by the trainer."""

    policy: Name = Field(description="Name of the policy that the version is published under.")
    env: str = Field(min_length=1, description="Environment: EnvId or module:EnvId, as Gymnasium makes it.")
    algorithm: Literal["reinforce", "a2c"] = Field(description="Learning algorithm.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the whole run.")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="Settings that differ from the preset, such as total_timesteps."
    )
    init_from: str = Field(
        default="",
        coerce_numbers_to_str=True,
        description="Version or alias of the policy whose weights training starts from; empty: from scratch.",
    )
    promotion: Promotion = Field(default_factory=Promotion, description="What happens after publishing.")
    priority: int = Field(default=0, ge=-100, le=100, description="Jobs with a higher number run first.")
    limits: Limits = Field(default_factory=Limits, description="Limits that end the job early.")
    resources: Resources = Field(
        default_factory=Resources, description="What the worker needs, for a trainer with --launcher ray."
    )

    @classmethod
    def checked(cls, document: Mapping[str, Any]) -> Self:
        """Validates a document; InvalidArgument names the first wrong field by its path."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InvalidArgument.of(name, got=repr(first["input"]), wanted=first["msg"]) from error

    def to_spec(self) -> training_pb2.TrainingSpec:
        """Returns the message that decides what is trained; each setting's value is JSON."""
        return training_pb2.TrainingSpec(
            policy=self.policy,
            env_id=self.env,
            algorithm=self.algorithm,
            seed=self.seed,
            settings={name: json.dumps(value) for name, value in self.settings.items()},
            init_from=self.init_from,
            promotion=training_pb2.Promotion(
                promote=self.promotion.promote,
                alias=self.promotion.alias,
                min_return=self.promotion.min_return,
                gate=None if self.promotion.gate is None else self.promotion.gate.to_message(),
            ),
        )

    def request_id(self, commit: str) -> str:
        """Returns an id that is the same for the same configuration at the same git commit."""
        # Resources are left out: where a job runs does not change what it learns.
        content = json.dumps([self.model_dump(mode="json", exclude={"resources"}), commit], sort_keys=True)
        return "auto-" + hashlib.sha256(content.encode()).hexdigest()[:32]


def json_schema() -> str:
    """Returns the text of SCHEMA_FILE."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Retraining.model_json_schema()
    return json.dumps(document | {"title": "policyctl retrain CONFIG.yaml"}, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json_schema())
