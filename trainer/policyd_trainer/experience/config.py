"""What decides how a continuous job learns from experience.

What belongs to the policy and not to one job (version lag, shares, mode) is in its
ExperienceConfig: see `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policyd.errors import FieldViolation, InvalidArgument
from policyd_trainer.config import parsed, what_is_wrong

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class LearnConfig(BaseModel):
    """One continuous job. Unknown names and values out of range are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_steps: Count = 2048  # least steps of one batch
    publish_every: Count = 1  # batches between two versions: limits the age of what clients act with
    # How much actions of older versions count. `weighted`: as much as they are more probable now
    # than when they were recorded, and the update is clipped against the newest version. `clip`:
    # PPO's clipped ratio against each step's recorded probability. `vtrace`: V-trace's truncated
    # ratios, for a2c only. `none`: as if the newest version had acted.
    correction: Literal["weighted", "clip", "vtrace", "none"] = "weighted"
    rho_bar: Positive = 1.0  # weighted, vtrace: largest weight of a step
    c_bar: Positive = 1.0  # vtrace: largest factor for passing later errors back
    # weighted, vtrace: share of the recorded decisions that may differ now; the actor learns less
    # from half of that on. Each caller and version is measured apart.
    max_shift: Positive = 0.3
    keep_versions: Count = 20  # newest versions that are kept, even if no alias names them
    max_steps: Count | None = None  # steps after which the job succeeds; None: it never ends
    # The gate without an environment: off-policy estimates from episodes that are kept apart.
    # BETTER is promoted, WORSE is not. If the estimates cannot tell, `promote` promotes and `keep`
    # does not.
    evidence: Literal["off", "promote", "keep"] = "off"
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.2  # evidence: share of the episodes kept apart
    poll_seconds: Positive = 0.2  # seconds between two reads of the log while it is empty

    @classmethod
    def split(cls, settings: Mapping[str, str]) -> tuple[Self, dict[str, str]]:
        """Splits settings into those of a continuous job and those of the algorithm.

        Raises:
            InvalidArgument: names the wrong field.
        """
        own = {name: parsed(text) for name, text in settings.items() if name in cls.model_fields}
        rest = {name: text for name, text in settings.items() if name not in own}
        try:
            return cls.model_validate(own), rest
        except ValidationError as error:
            details = error.errors(include_url=False)
            violations = tuple(FieldViolation(f"settings[{d['loc'][0]}]", what_is_wrong(d)) for d in details)
            message = "; ".join(f"{v.field}: {v.description}" for v in violations)
            raise InvalidArgument(message, violations=violations) from None


def check_gate(config: LearnConfig, env_id: str) -> None:
    """Raises InvalidArgument if two gates are configured, because only one can decide."""
    if env_id and config.evidence != "off":
        wanted = "off where `env` is given: the gate plays it"
        raise InvalidArgument.of("settings[evidence]", got=config.evidence, wanted=wanted)
