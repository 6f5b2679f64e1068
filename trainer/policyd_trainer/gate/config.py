"""The gate's configuration, validated, every default filled in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from policy_api.v1.gate_pb2 import GateConfig
from policyd.errors import InvalidArgument

DEFAULT_BLOCK = 20
DEFAULT_MAX = 500
DEFAULT_ERROR_RATE = 0.05
_GROWTH = 1.5  # of the episodes from look to look: few looks add little error, and stop almost as early


@dataclass(frozen=True)
class Gate:
    """The rules of one comparison."""

    criterion: GateConfig.Criterion.ValueType
    margin: float  # NOT_WORSE: loss of mean return that is accepted, at least 0; else 0
    mode: GateConfig.Mode.ValueType  # the mode whose difference decides
    block_episodes: int  # episodes of the first look, per policy and mode
    max_episodes: int  # episodes of the last look
    error_rate: float  # probability of a wrong promotion, over all looks
    # Which of the two numbers of episodes were asked for: a small budget does not lower these.
    asked: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def of(cls, config: GateConfig, field: str = "spec.promotion.gate") -> Gate:
        """The rules, with defaults for unset fields.

        Raises:
            InvalidArgument: names the wrong field below `field`.
        """
        gate = cls(
            criterion=config.criterion or GateConfig.BETTER,
            margin=config.margin,
            mode=config.mode or GateConfig.COMBINED,
            block_episodes=config.block_episodes or DEFAULT_BLOCK,
            max_episodes=config.max_episodes or max(DEFAULT_MAX, config.block_episodes),
            error_rate=config.error_rate if config.HasField("error_rate") else DEFAULT_ERROR_RATE,
            asked=frozenset(name for name in ("block_episodes", "max_episodes") if getattr(config, name)),
        )
        gate._check(field)
        return gate

    @property
    def threshold(self) -> float:
        """What the mean difference must exceed."""
        return -self.margin if self.criterion == GateConfig.NOT_WORSE else 0.0

    @property
    def looks(self) -> tuple[int, ...]:
        """Episodes at each look: block_episodes, 1.5 times as many, ..., max_episodes."""
        looks = [self.block_episodes]
        while looks[-1] < self.max_episodes:
            looks.append(min(self.max_episodes, math.ceil(looks[-1] * _GROWTH)))
        return tuple(looks)

    @property
    def tail(self) -> float:
        """The error allowed on each side of the interval at one look (union bound over looks)."""
        return self.error_rate / 2 / len(self.looks)

    @property
    def unseen_tail(self) -> float:
        """The error that each side may have for failures that were not seen, over all looks.

        It needs no union bound: what has not happened by one look had not happened at earlier
        looks.
        """
        return self.error_rate / 2

    def to_proto(self) -> GateConfig:
        """The rules as a message, with every field filled."""
        return GateConfig(
            criterion=self.criterion,
            margin=self.margin,
            mode=self.mode,
            block_episodes=self.block_episodes,
            max_episodes=self.max_episodes,
            error_rate=self.error_rate,
        )

    def _check(self, field: str) -> None:
        _require(
            self.criterion in GateConfig.Criterion.values(), f"{field}.criterion", self.criterion, "known"
        )
        _require(self.mode in GateConfig.Mode.values(), f"{field}.mode", self.mode, "known")
        _require(0 <= self.margin < math.inf, f"{field}.margin", self.margin, "a finite number, at least 0")
        _require(
            self.margin == 0 or self.criterion == GateConfig.NOT_WORSE,
            f"{field}.margin",
            self.margin,
            "0 unless the criterion is NOT_WORSE",
        )
        _require(
            10 <= self.block_episodes <= 1000, f"{field}.block_episodes", self.block_episodes, "10 to 1000"
        )
        _require(
            self.block_episodes <= self.max_episodes <= 10_000,
            f"{field}.max_episodes",
            self.max_episodes,
            "block_episodes to 10000",
        )
        _require(0 < self.error_rate <= 0.2, f"{field}.error_rate", self.error_rate, "above 0, at most 0.2")


def _require(holds: bool, field: str, got: object, wanted: str) -> None:
    if not holds:
        raise InvalidArgument.of(field, got=got, wanted=wanted)
