"""The gate's configuration: defaults, limits, looks."""

import pytest

from policy_api.v1.gate_pb2 import GateConfig
from policyd import errors
from policyd_trainer.gate.config import Gate


def test_defaults_fill_what_is_unset() -> None:
    """An empty configuration becomes a complete one, and the proto keeps it."""
    gate = Gate.of(GateConfig())
    assert (gate.criterion, gate.mode) == (GateConfig.BETTER, GateConfig.COMBINED)
    assert (gate.block_episodes, gate.max_episodes, gate.error_rate) == (20, 500, 0.05)
    assert Gate.of(gate.to_proto()) == gate


def test_looks_rise_to_the_limit() -> None:
    """Looks go from one block to max_episodes, each 1.5 times the one before.

    Their errors add up to the whole.
    """
    gate = Gate.of(GateConfig(block_episodes=10, max_episodes=40))
    assert gate.looks == (10, 15, 23, 35, 40)
    assert gate.tail * len(gate.looks) * 2 == pytest.approx(0.05)
    assert Gate.of(GateConfig(block_episodes=800)).looks == (800,)


@pytest.mark.parametrize(
    ("field", "config"),
    [
        ("margin", GateConfig(criterion=GateConfig.NOT_WORSE, margin=-1)),
        ("margin", GateConfig(criterion=GateConfig.NOT_WORSE, margin=float("nan"))),
        ("margin", GateConfig(margin=1)),
        ("block_episodes", GateConfig(block_episodes=9)),
        ("max_episodes", GateConfig(block_episodes=30, max_episodes=29)),
        ("max_episodes", GateConfig(max_episodes=10_001)),
        ("error_rate", GateConfig(error_rate=0)),
        ("error_rate", GateConfig(error_rate=0.3)),
    ],
)
def test_bad_values_name_the_field(field: str, config: GateConfig) -> None:
    """The error is InvalidArgument with the path in the request."""
    with pytest.raises(errors.InvalidArgument) as refused:
        Gate.of(config)
    assert [v.field for v in refused.value.violations] == [f"spec.promotion.gate.{field}"]
