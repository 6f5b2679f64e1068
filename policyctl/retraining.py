"""What to retrain: the configuration of `policyctl retrain`, and the messages that it stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from policy_api.errors import InvalidArgument
from policy_api.v1 import gate_pb2, training_pb2
from policyctl.durations import seconds_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Seconds = Annotated[float, BeforeValidator(lambda value: seconds_of(str(value)))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Gate(_Part):
    """How the new version is compared with what the alias names."""

    criterion: Literal["better", "not_worse", "always"] = Field(
        default="better", description="What promotes: better; not worse than margin; or the floor alone."
    )
    margin: float = Field(
        default=0.0, ge=0, description="not_worse: the loss of mean return that is accepted."
    )
    mode: Literal["combined", "greedy", "sampled"] = Field(
        default="combined", description="Whose difference decides; combined is the mean of both per seed."
    )
    block_episodes: int = Field(default=20, ge=10, le=1000, description="Episodes between two looks.")
    max_episodes: int = Field(
        default=500, ge=10, le=10_000, description="Episodes after which it cannot tell."
    )
    error_rate: float = Field(default=0.05, gt=0, le=0.2, description="Chance of a wrong promotion, at most.")

    def to_message(self) -> gate_pb2.GateConfig:
        """The same as a message."""
        return gate_pb2.GateConfig(
            criterion=gate_pb2.GateConfig.Criterion.Value(self.criterion.upper()),
            margin=self.margin,
            mode=gate_pb2.GateConfig.Mode.Value(self.mode.upper()),
            block_episodes=self.block_episodes,
            max_episodes=self.max_episodes,
            error_rate=self.error_rate,
        )


class Promotion(_Part):
    """Whether the new version may take over."""

    promote: bool = Field(
        default=True, description="Whether the new version may become what the alias names."
    )
    alias: Name = Field(default="champion", description="The alias that it may take over.")
    min_return: float | None = Field(
        default=None, description="Mean return of the greedy evaluation that is wanted at least."
    )
    gate: Gate | None = Field(
        default=None, description="How it is compared with what the alias names; null: the defaults."
    )


class Limits(_Part):
    """What ends the job before its time."""

    time_limit: Seconds | None = Field(
        default=None,
        description="Of all attempts together: seconds, or such as 30m and 1h30m.",
        json_schema_extra={"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]},
    )
    env_steps: int = Field(default=0, ge=0, description="Environment steps; 0: the trainer's own limit.")

    def to_message(self) -> training_pb2.JobLimits:
        """The same as a message."""
        limits = training_pb2.JobLimits(env_steps=self.env_steps)
        if self.time_limit is not None:
            limits.time_limit.FromNanoseconds(int(self.time_limit * 1e9))
        return limits


class Retraining(_Part):
    """One training run. Unknown keys are errors; settings are checked by the trainer."""

    policy: Name = Field(description="Name that the version is published under.")
    env: str = Field(min_length=1, description="EnvId or module:EnvId, as Gymnasium makes it.")
    algorithm: Literal["reinforce", "a2c"] = Field(description="What learns.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Of the whole run.")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="Settings that differ from the preset, such as total_timesteps."
    )
    init_from: str = Field(
        default="",
        coerce_numbers_to_str=True,
        description="Version or alias of the same policy whose weights it starts from; empty: from scratch.",
    )
    promotion: Promotion = Field(default_factory=Promotion, description="What happens after publishing.")
    priority: int = Field(default=0, ge=-100, le=100, description="Jobs with a higher number run first.")
    limits: Limits = Field(default_factory=Limits, description="What ends the job before its time.")

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
        """What decides the training; each setting's value as JSON."""
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
        """An id that is the same for the same configuration at the same git commit."""
        content = json.dumps([self.model_dump(mode="json"), commit], sort_keys=True)
        return "auto-" + hashlib.sha256(content.encode()).hexdigest()[:32]
