"""How each policy's experience is recorded.

One JSON file a policy, replaced as a whole under a lock.

<root>/configs/<policy>.json
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import Conflict, CorruptArtifact, FieldViolation, InvalidArgument
from policyd.repository.durable import locked, make_directory, replace_file
from policyd.repository.names import validate_author

REWARD_LIMIT = 1e6  # used if the configuration sets no range
#: The largest reward that a range may allow. The squares of a whole batch are still finite in
#: float32.
MOST_REWARD = 1e15
SILENCE_SECONDS = 600.0
RETENTION_SECONDS = 30 * 86400.0
VERSION_LAG = 16
KEPT_CHANGES = 200  # in the history


class ExperienceConfigs:
    """Reads and changes the configurations below one root."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "configs"

    def read(self, policy: str) -> pb.GetExperienceResponse:
        """Returns configuration, generation and history.

        Without a file, the generation is 0 and the mode is OFF. CorruptArtifact: the file is
        damaged.
        """
        path = self.path(policy)
        try:
            text = path.read_text()
        except FileNotFoundError:
            return pb.GetExperienceResponse(config=pb.ExperienceConfig(mode=pb.ExperienceConfig.OFF))
        try:
            return json_format.Parse(text, pb.GetExperienceResponse())
        except json_format.ParseError as error:
            raise CorruptArtifact(f"the experience configuration {path} is damaged: {error}") from error

    def policies(self) -> list[str]:
        """The policies that have a configuration."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def change(self, request: pb.SetExperienceConfigRequest) -> pb.SetExperienceConfigResponse:
        """Sets a policy's configuration.

        Raises InvalidArgument if a field is out of range or a text too long, and Conflict if the
        generation is not `expected_generation`.
        """
        validate(request.config)
        validate_author(request.actor, request.reason)
        make_directory(self._folder)
        with locked(self._folder / f".{request.policy}.lock"):
            state = self.read(request.policy)
            if request.HasField("expected_generation") and request.expected_generation != state.generation:
                raise Conflict(
                    f"the experience of {request.policy} is at generation {state.generation}, "
                    f"not {request.expected_generation}: read it again"
                )
            _apply(state, request)
            replace_file(self.path(request.policy), json_format.MessageToJson(state).encode())
        return pb.SetExperienceConfigResponse(config=state.config, generation=state.generation)

    def path(self, policy: str) -> Path:
        """Returns the path of the policy's file, which exists only if something was set."""
        return self._folder / f"{policy}.json"


class RecordedPolicies:
    """Tells for each decision whether its policy records.

    A positive answer is used for SECONDS; the recorder checks it again. After a negative answer,
    the file's time of change is read each time, so that no decision is missed once the mode was
    set.
    """

    SECONDS = 1.0

    def __init__(self, root: Path) -> None:
        self._configs = ExperienceConfigs(root)
        self.until: dict[str, float] = {}  # by policy that records: until when that is used, time.monotonic()
        self._silent: dict[str, int] = {}  # by policy that does not record: its file's time of change

    def __call__(self, policy: str) -> bool:
        """Whether decisions of the policy go to the recorder.

        True also if the file is damaged: the recorder then reports the damage.
        """
        now = time.monotonic()
        if self.until.get(policy, -math.inf) > now:
            return True
        try:
            changed = self._configs.path(policy).stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if self._silent.get(policy) == changed:
            return False
        if self._may_record(policy):
            self.until[policy] = now + self.SECONDS
            return True
        self._silent[policy] = changed
        return False

    def _may_record(self, policy: str) -> bool:
        try:
            return records(self._configs.read(policy).config)
        except (CorruptArtifact, OSError):
            return True


def _apply(state: pb.GetExperienceResponse, request: pb.SetExperienceConfigRequest) -> None:
    state.config.CopyFrom(request.config)
    state.generation += 1
    change = state.history.add(
        config=request.config, generation=state.generation, actor=request.actor, reason=request.reason
    )
    now = Timestamp()
    now.GetCurrentTime()
    change.change_time.CopyFrom(now)
    del state.history[:-KEPT_CHANGES]


def reward_range(config: pb.ExperienceConfig) -> tuple[float, float]:
    """Smallest and largest reward that is accepted."""
    low = config.reward_low if config.HasField("reward_low") else -REWARD_LIMIT
    high = config.reward_high if config.HasField("reward_high") else REWARD_LIMIT
    return low, high


def silence_seconds(config: pb.ExperienceConfig) -> float:
    """Returns how long an episode may be without news before it is sealed."""
    return config.silence.ToTimedelta().total_seconds() if config.HasField("silence") else SILENCE_SECONDS


def retention_seconds(config: pb.ExperienceConfig) -> float:
    """Returns how old a sealed episode may become, in seconds."""
    if not config.HasField("retention"):
        return RETENTION_SECONDS
    return config.retention.ToTimedelta().total_seconds()


def records(config: pb.ExperienceConfig) -> bool:
    """Whether decisions and outcomes are recorded."""
    return config.mode in (pb.ExperienceConfig.RECORD, pb.ExperienceConfig.LEARN)


def validate(config: pb.ExperienceConfig) -> None:
    """Raises InvalidArgument, which names every field that is out of range."""
    low, high = reward_range(config)
    checks = (
        ("mode", config.mode, config.mode in pb.ExperienceConfig.Mode.values(), "OFF, RECORD or LEARN"),
        (
            "reward_low",
            low,
            -MOST_REWARD <= low < high,
            f"at least {-MOST_REWARD:g} and below {high:g}",
        ),
        ("reward_high", high, high <= MOST_REWARD, f"at most {MOST_REWARD:g}"),
        ("silence", silence_seconds(config), 1 <= silence_seconds(config) <= 86400 * 7, "1 second to 7 days"),
        ("max_version_lag", config.max_version_lag, config.max_version_lag >= 0, "0 or more"),
        ("max_caller_share", config.max_caller_share, 0 <= config.max_caller_share <= 1, "0 to 1"),
        ("max_subject_share", config.max_subject_share, 0 <= config.max_subject_share <= 1, "0 to 1"),
        ("retention", retention_seconds(config), retention_seconds(config) >= 60, "1 minute or more"),
    )
    violations = tuple(
        FieldViolation(f"config.{name}", f"got {got}, expected {expected}")
        for name, got, fits, expected in checks
        if not fits
    )
    if violations:
        text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgument(text, violations=violations)
