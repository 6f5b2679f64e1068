"""What to retrain: the configuration of `policyctl retrain`, and the TrainingSpec that it stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from policy_api.errors import InvalidArgument
from policy_api.v1 import training_pb2

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Promotion(BaseModel):
    """Whether the new version may take over."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    promote: bool = Field(
        default=True, description="Whether the new version may become what the alias names."
    )
    alias: Name = Field(default="champion", description="The alias that it may take over.")
    min_return: float | None = Field(
        default=None, description="Mean return of the greedy evaluation that is wanted at least."
    )


class Retraining(BaseModel):
    """One training run. Unknown keys are errors; settings are checked by the trainer."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    policy: Name = Field(description="Name that the version is published under.")
    env: str = Field(min_length=1, description="EnvId or module:EnvId, as Gymnasium makes it.")
    algorithm: Literal["reinforce", "a2c"] = Field(description="What learns.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Of the whole run.")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="Settings that differ from the preset, such as total_timesteps."
    )
    promotion: Promotion = Field(default_factory=Promotion, description="What happens after publishing.")

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
        """The same as a message; each setting's value as JSON."""
        return training_pb2.TrainingSpec(
            policy=self.policy,
            env_id=self.env,
            algorithm=self.algorithm,
            seed=self.seed,
            settings={name: json.dumps(value) for name, value in self.settings.items()},
            promotion=training_pb2.Promotion(
                promote=self.promotion.promote,
                alias=self.promotion.alias,
                min_return=self.promotion.min_return,
            ),
        )

    def request_id(self, commit: str) -> str:
        """An id that is the same for the same configuration at the same git commit."""
        content = json.dumps([self.model_dump(mode="json"), commit], sort_keys=True)
        return "auto-" + hashlib.sha256(content.encode()).hexdigest()[:32]
