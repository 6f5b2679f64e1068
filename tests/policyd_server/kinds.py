"""One small policy of each kind of action and observation."""

from __future__ import annotations

import math

from policy_api.v1.artifact_pb2 import (
    BernoulliDistribution,
    BoxSpace,
    CategoricalDistribution,
    DictSpace,
    DiscreteSpace,
    Distribution,
    GaussianDistribution,
    MultiBinarySpace,
    MultiCategoricalDistribution,
    MultiDiscreteSpace,
    NamedSpace,
    PolicyMetadata,
    Space,
)

VECTOR = Space(box=BoxSpace(shape=[4], dtype="float32", low=[-10.0], high=[10.0]))
IMAGE = Space(box=BoxSpace(shape=[6, 5, 3], dtype="uint8", low=[0], high=[255]))
CHOICE = Space(discrete=DiscreteSpace(n=7, start=-2))
MIXED = Space(
    dict=DictSpace(spaces=[NamedSpace(name="camera", space=IMAGE), NamedSpace(name="choice", space=CHOICE)])
)
LOW, HIGH = [-2.0, 0.0], [2.0, 5.0]

DISCRETE = (
    Space(discrete=DiscreteSpace(n=3, start=5)),
    Distribution(categorical=CategoricalDistribution(n=3)),
)
MULTI_DISCRETE = (
    Space(multi_discrete=MultiDiscreteSpace(shape=[3], nvec=[2, 3, 4])),
    Distribution(multi_categorical=MultiCategoricalDistribution(nvec=[2, 3, 4])),
)
MULTI_BINARY = (
    Space(multi_binary=MultiBinarySpace(shape=[4])),
    Distribution(bernoulli=BernoulliDistribution(n=4)),
)
SQUASHED = (
    Space(box=BoxSpace(shape=[2], dtype="float32", low=LOW, high=HIGH)),
    Distribution(gaussian=GaussianDistribution(size=2, squash=GaussianDistribution.TANH, low=LOW, high=HIGH)),
)
CLIPPED = (
    Space(box=BoxSpace(shape=[1, 2], dtype="float64", low=[-0.1, -math.inf], high=[0.1, math.inf])),
    Distribution(
        gaussian=GaussianDistribution(
            size=2, squash=GaussianDistribution.CLIP, low=[-0.1, -math.inf], high=[0.1, math.inf]
        )
    ),
)
ACTIONS = {
    "discrete": DISCRETE,
    "multi_discrete": MULTI_DISCRETE,
    "multi_binary": MULTI_BINARY,
    "squashed": SQUASHED,
    "clipped": CLIPPED,
}
OBSERVATIONS = {"vector": VECTOR, "image": IMAGE, "choice": CHOICE, "mixed": MIXED}


def metadata(
    actions: str = "discrete", observations: str = "vector", policy: str = "kinds"
) -> PolicyMetadata:
    """The metadata of an artifact with these spaces."""
    action_space, distribution = ACTIONS[actions]
    return PolicyMetadata(
        format=1,
        policy=policy,
        observation_space=OBSERVATIONS[observations],
        action_space=action_space,
        distribution=distribution,
        algorithm="a2c",
        env_id="Test-v0",
        has_value=True,
    )
