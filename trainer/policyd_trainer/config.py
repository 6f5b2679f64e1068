"""Everything that decides one training run: typed, validated, frozen.

Light on purpose: the service validates requests with it, so nothing here imports torch or
gymnasium.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from policyd.errors import FieldViolation, InvalidArgument
from policyd.repository.names import ALIAS_NAME, validate_policy_name
from policyd_trainer import presets

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
ENTRY_POINT = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"  # module:Class
ENV_ID = r"^[\w:./-]+$"  # what Gymnasium may call an environment
VersionName = Annotated[str, Field(pattern=rf"^{ALIAS_NAME.pattern}$")]  # matches version numbers, too
Sizes = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)]


class Wrapper(BaseModel):
    """A wrapper around the environment. `module:Class` alone means one without arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry_point: Annotated[str, Field(pattern=ENTRY_POINT)]  # module:Class
    kwargs: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return {"entry_point": value} if isinstance(value, str) else value


class TrainingConfig(BaseModel):
    """One run. Settings that a preset or a request leaves out have the values below."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    policy: str  # the name that versions are published under
    env_id: Annotated[str, Field(max_length=256, pattern=ENV_ID)]  # `EnvId` or `module:EnvId`
    algorithm: Literal["reinforce", "a2c"]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    preset: str = "auto"  # where the other settings came from: `auto`, `default`, `course`

    # The environments and the collecting from them.
    env_kwargs: dict[str, Any] = {}  # keyword arguments of gymnasium.make
    wrappers: Annotated[tuple[Wrapper, ...], Field(max_length=16)] = ()  # around it, the first one innermost
    total_timesteps: Count = 100_000  # environment steps of the run
    n_envs: Annotated[int, Field(ge=1, le=65536)] = 1  # environments stepped side by side
    n_steps: Count = 1  # a2c: steps of each environment per rollout
    episodes_per_update: Count = 1  # reinforce: whole episodes per rollout
    # Processes that collect. 0: this process does it. `auto`: two if there are two processors, else
    # 0.
    rollout_workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = 0
    rollout_backend: Literal["processes", "ray"] = "processes"  # where rollout workers run
    collect_ahead: bool = False  # workers collect while this process learns, one rollout behind
    max_episode_steps: Count | None = None  # longest episode, in steps; None: the environment's own limit
    episode_step_limit: Count = 100_000  # more steps in an episode count as one that never ends
    step_timeout: Positive = 60.0  # seconds after which a call into the environment counts as hanging

    # Returns and advantages.
    gamma: Fraction = 0.99  # discount per step
    gae_lambda: Fraction = 0.0  # 0: one-step TD error, 1: Monte Carlo
    truncation: Literal["bootstrap", "terminate"] = "bootstrap"  # `terminate`: the course's `done`
    returns: Literal["episode", "reward_to_go"] = "episode"  # reinforce: the weight of log pi
    baseline: Literal["none", "mean", "value"] = "none"  # reinforce: what is subtracted from that weight
    baseline_lambda: Fraction = 1.0  # reinforce: TD(lambda) target of the value baseline; 1: Monte Carlo
    normalize_observations: bool = False  # by running mean and standard deviation, in the exported graph
    normalize_rewards: bool = False  # by the running standard deviation of the discounted return
    normalize_advantages: bool = False  # to mean 0 and standard deviation 1 over the rollout

    # Losses.
    loss_reduction: Literal["mean", "episode_sum"] = "mean"  # over steps, or summed over each episode
    clip_range: Positive | None = None  # PPO: how far pi(a|s) / pi_old(a|s) may leave 1; None: A2C
    ent_coef: NonNegative = 0.0  # weight of the entropy bonus at the start
    ent_coef_final: NonNegative | None = None  # the same at the end, reached linearly; None: constant
    vf_coef: Positive = 1.0  # weight of the critic's squared error
    critic_gradient: Literal["semi", "full"] = "semi"  # `full`: also through the TD target, as in the course
    clip_range_vf: Positive | None = None  # largest change of a value in an update; None: no clipping

    # Optimisation.
    n_epochs: Annotated[int, Field(ge=1, le=100)] = 1  # passes over each rollout
    minibatch_size: Count | None = None  # steps per update; None: the whole rollout
    critic_minibatch_size: Count | None = None  # its own minibatches; None: steps with the actor
    optimizer: Literal["adam", "rmsprop", "rmsprop_a2c", "sgd"] = "adam"
    optimizer_eps: Positive = (
        1e-8  # beside the root of the second moment (rmsprop_a2c: inside; A2C uses 1e-5)
    )
    learning_rate: Positive = 1e-3  # the actor's
    critic_learning_rate: Positive | None = None  # None: the actor's
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"  # down to lr_final_fraction
    lr_final_fraction: Fraction = 0.0  # of the learning rate, at the end of the schedule
    max_grad_norm: Positive | None = None  # largest L2 norm of the actor's gradient
    critic_max_grad_norm: Positive | None = None  # of the critic's; None: the actor's

    # Networks.
    hidden_sizes: Sizes = (64, 64)  # the actor's hidden layers
    critic_hidden_sizes: Sizes = (64,)  # the critic's
    activation: Literal["relu", "tanh"] = "relu"
    initialization: Literal["uniform", "orthogonal"] = "uniform"  # `uniform`: torch.nn.Linear's
    squash: Literal["clip", "tanh"] = "clip"  # Box actions: how normal samples are kept within the bounds
    log_std_init: float = 0.0  # Box actions: log of the initial standard deviation, in half ranges
    use_sde: bool = False  # Box actions: exploration that depends on the state (gSDE)
    sde_sample_freq: Count = 64  # gSDE: steps of a rollout that share one noise matrix
    init_from: VersionName | None = None  # a published version or alias of this policy to start from

    # What is exported, and how it is evaluated.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # averaging of the exported weights; 0: none
    candidates: Annotated[int, Field(ge=1, le=1000)] = 1  # weights that compete; 1: only the last
    score_beside: bool = False  # candidates are scored in a process of their own while training goes on
    selection_episodes: Annotated[int, Field(ge=1, le=10_000)] = 20  # episodes per candidate and mode
    evaluation_episodes: Annotated[int, Field(ge=2, le=100_000)] = 100  # per mode, of the exported policy
    evaluation_steps: Count | None = None  # budget of selection, evaluation and gate; None: total_timesteps
    evaluation_envs: Annotated[int, Field(ge=1, le=65536)] | None = None  # side by side; None: n_envs

    # The machine.
    device: Literal["auto", "cpu", "cuda"] = "auto"
    engine: Literal["auto", "closed_form", "autograd"] = "auto"  # how gradients are computed
    precision: Literal["float32", "tf32", "bf16"] = "float32"  # of matrix products on a device
    device_env: Annotated[str, Field(pattern=ENTRY_POINT)] | None = None  # module:Class, trained in instead
    seeds: Annotated[int, Field(ge=1, le=4096)] = 1  # policies trained at once; the best one is exported
    devices: Annotated[int, Field(ge=1, le=64)] = 1  # GPUs (on a CPU processes) that share the environments
    checkpoint_seconds: Positive = 5.0  # seconds between checkpoints

    @field_validator("init_from", mode="before")
    @classmethod
    def _version_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.use_sde and not self.hidden_sizes:
            raise ValueError("use_sde: needs a hidden layer that the exploration depends on")
        if self.critic_gradient == "full" and (self.gae_lambda != 0 or self.algorithm != "a2c"):
            raise ValueError("critic_gradient: `full` is defined for a2c with gae_lambda 0 only")
        if self.loss_reduction == "episode_sum" and self.algorithm != "reinforce":
            raise ValueError("loss_reduction: `episode_sum` is defined for reinforce only")
        if self.algorithm == "reinforce" and self.minibatch_size and self.loss_reduction == "episode_sum":
            raise ValueError("minibatch_size: must be unset with loss_reduction `episode_sum`")
        if self.rollout_backend == "ray" and self.rollout_workers in (0, "auto"):
            raise ValueError("rollout_workers: must be 1 or more with rollout_backend `ray`")
        if self.algorithm == "reinforce" and self.episodes_per_update % self.n_envs:
            raise ValueError(f"episodes_per_update: must be a multiple of n_envs ({self.n_envs})")
        return self

    @model_validator(mode="after")
    def _workers_can_be_ahead(self) -> Self:
        if self.collect_ahead and self.rollout_workers in (0, "auto"):
            raise ValueError("collect_ahead: needs rollout_workers, at least 1")
        if self.collect_ahead and (self.algorithm != "a2c" or self.critic_gradient == "full"):
            raise ValueError("collect_ahead: is corrected for a2c with critic_gradient `semi` only")
        return self

    @model_validator(mode="after")
    def _device_engine_learns_it(self) -> Self:
        """Checks the settings that seeds, devices and device_env exclude."""
        if not self.needs_device_engine:
            return self
        only = "with seeds, devices or device_env"
        if self.algorithm == "reinforce":
            name = "seeds" if self.seeds > 1 else "devices" if self.devices > 1 else "device_env"
            raise ValueError(f"{name}: is for a2c, whose rollouts have one size")
        if self.critic_gradient == "full":
            raise ValueError(f"critic_gradient: must be `semi` {only}")
        if self.rollout_workers not in (0, "auto"):
            raise ValueError(f"rollout_workers: must be 0 or auto {only}")
        if self.n_envs % self.devices:
            raise ValueError(f"n_envs: must be a multiple of devices ({self.devices})")
        return self

    @property
    def needs_device_engine(self) -> bool:
        """Whether only the engine in `policyd_trainer.device` can train this, on a CPU too."""
        return self.seeds > 1 or self.devices > 1 or self.device_env is not None

    @property
    def has_critic(self) -> bool:
        """Whether a value network is trained."""
        return self.algorithm == "a2c" or self.baseline == "value"

    @property
    def whole_episodes(self) -> bool:
        """Whether rollouts are whole episodes instead of a fixed number of steps."""
        return self.algorithm == "reinforce"

    def settings(self) -> dict[str, str]:
        """Every setting by name, as JSON text. PolicyMetadata.settings carries them so."""
        identity = {"policy", "env_id", "algorithm", "seed"}
        return {name: json.dumps(value) for name, value in self.model_dump(exclude=identity).items()}


def resolve_config(
    policy: str, env_id: str, algorithm: str, seed: int, settings: Mapping[str, str]
) -> TrainingConfig:
    """The preset of the environment and algorithm, overridden by `settings`.

    Args:
        policy: name of the policy.
        env_id: `EnvId` or `module:EnvId`. Only the name is used; no environment is made.
        algorithm: `reinforce` or `a2c`.
        seed: 0 or more.
        settings: each value by its name, as JSON; text that is not JSON is a string.

    `model_fields_set` of the result has the names in `settings` only, not those of the preset.

    Raises:
        InvalidArgument: names each wrong field, a setting as `settings[gamma]`.
    """
    validate_policy_name(policy)
    values = {name: parsed(text) for name, text in settings.items()}
    chosen = values.pop("preset", "auto")
    for name in ("policy", "env_id", "algorithm", "seed"):
        if name in values:
            raise InvalidArgument.of(f"settings[{name}]", got="a setting", wanted=f"the field `{name}`")
    base = presets.find(env_id, algorithm, chosen)
    identity = {"policy": policy, "env_id": env_id, "algorithm": algorithm, "seed": seed, "preset": chosen}
    try:
        config = TrainingConfig.model_validate({**base, **values, **identity})
    except ValidationError as error:
        raise _invalid(error, identity) from None
    config.model_fields_set.difference_update(base.keys() - values.keys())
    return config


def parsed(text: str) -> object:
    """A setting's value: the text as JSON, or the text itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # text that is not JSON, or brackets nested too deeply
        return text


def _invalid(error: ValidationError, identity: Mapping[str, object]) -> InvalidArgument:
    violations = tuple(_violation(detail, identity) for detail in error.errors(include_url=False))
    message = "; ".join(f"{v.field}: {v.description}" for v in violations)
    return InvalidArgument(message, violations=violations)


def _violation(detail: Any, identity: Mapping[str, object]) -> FieldViolation:
    text = str(detail["msg"])
    if not detail["loc"]:  # from a validator of the whole model: "Value error, name: what is wrong"
        name, _, wanted = text.removeprefix("Value error, ").partition(": ")
        return FieldViolation(f"settings[{name}]", wanted)
    name = str(detail["loc"][0])
    field = name if name in identity else f"settings[{name}]"
    if detail["type"] == "extra_forbidden":
        return FieldViolation(field, f"no such setting{_meant(name)}")
    return FieldViolation(field, what_is_wrong(detail))


def what_is_wrong(detail: Any) -> str:
    """Returns what came and what was expected, from one of pydantic's errors."""
    said = str(detail["msg"])
    wanted = said.removeprefix("Input should be ")
    return (
        f"got {detail['input']!r}, expected {wanted}"
        if wanted != said
        else f"got {detail['input']!r}: {said}"
    )


def _meant(name: str) -> str:
    """The setting that a misspelt name resembles, as a question; empty if it resembles none."""
    alike = difflib.get_close_matches(name, TrainingConfig.model_fields, n=1)
    return f"; did you mean {alike[0]}?" if alike else ""
