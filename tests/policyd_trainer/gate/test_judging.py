"""The gate on real models: CartPole policies of known quality, played from their ONNX files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policyd.repository import ModelRepository
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.judging import Challenger, Promotion, judge
from tests.policyd_trainer.gate.linear import BAD, FAIR, GOOD, linear_policy

CONFIG = resolve_config("pole", "CartPole-v1", "a2c", 3, {})
INFO = inspect(CONFIG)
PROMOTION = Promotion(promote=True, gate=Gate.of(GateConfig(block_episodes=10, max_episodes=20)))
Champion = Callable[[bytes], ModelRepository]


@pytest.fixture
def champion(tmp_path: Path) -> Champion:
    """A repository whose champion is this model."""
    metadata = artifact_pb2.PolicyMetadata(
        policy="pole",
        observation_space=artifact_pb2.Space(box=artifact_pb2.BoxSpace(shape=[4], dtype="float32")),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=2)),
    )

    def champion(model: bytes) -> ModelRepository:
        repository = ModelRepository(tmp_path)
        published = repository.publish("pole", {"model.onnx": model}, metadata=metadata)
        repository.set_alias("pole", "champion", published.version, actor="test", reason="")
        return repository

    return champion


def _challenger(model: bytes, greedy: float = 100.0) -> Challenger:
    return Challenger(CONFIG, INFO, model, greedy)


@pytest.mark.parametrize(
    ("challenger", "champion_", "outcome"),
    [
        (GOOD, BAD, GateVerdict.OUTCOME_BETTER),
        (BAD, GOOD, GateVerdict.OUTCOME_WORSE),
        (FAIR, FAIR, GateVerdict.OUTCOME_CANNOT_TELL),
    ],
    ids=["better", "worse", "same"],
)
def test_known_policies_are_told_apart(
    champion: Champion, challenger: bytes, champion_: bytes, outcome: GateVerdict.Outcome.ValueType
) -> None:
    """The verdict has the numbers behind it, and says what was measured."""
    repository = champion(champion_)
    verdict = judge(repository, _challenger(challenger), PROMOTION)
    assert verdict.outcome == outcome
    assert verdict.promote is (outcome == GateVerdict.OUTCOME_BETTER)
    assert verdict.champion_version == 1
    assert verdict.champion_digest == repository.read("pole", 1).digest
    for paired in (verdict.greedy, verdict.sampled):
        assert len(paired.challenger) == len(paired.champion) == verdict.episodes
    assert verdict.difference.low <= verdict.difference.mean <= verdict.difference.high
    assert "against version 1" in verdict.explanation
    assert judge(repository, _challenger(challenger), PROMOTION) == verdict


def test_a_verdict_says_that_the_budget_was_too_small(champion: Champion) -> None:
    """If the budget ended the comparison, the verdict says what to raise."""
    budget = Budget(steps=5000.0, length=100.0)  # room for about 10 of the 500 paired episodes
    challenger = replace(_challenger(FAIR), budget=budget)
    verdict = judge(champion(FAIR), challenger, Promotion(promote=True))
    assert verdict.outcome == GateVerdict.OUTCOME_CANNOT_TELL
    assert "evaluation_steps 5,000 leave no room for more" in verdict.explanation
    assert "up to 500" in verdict.explanation


def test_the_same_policy_plays_the_same_episodes(champion: Champion) -> None:
    """With common random numbers every difference is 0, greedy and sampled."""
    verdict = judge(champion(FAIR), _challenger(FAIR), PROMOTION)
    for paired in (verdict.greedy, verdict.sampled):
        assert list(paired.challenger) == list(paired.champion)
    assert list(verdict.greedy.challenger) != list(verdict.sampled.challenger)


def test_the_floor_comes_first(champion: Champion) -> None:
    """Below the minimum return nothing is played, even for the first version."""
    floor = Promotion(promote=True, min_return=200.0)
    for repository in (champion(BAD), ModelRepository(Path("/nonexistent"))):
        verdict = judge(repository, _challenger(GOOD, greedy=199.0), floor)
        assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_BELOW_FLOOR, False)
        assert verdict.episodes == 0
        assert "below the floor 200" in verdict.explanation


def test_the_first_version_has_no_champion(tmp_path: Path) -> None:
    """Only the minimum return counts."""
    verdict = judge(ModelRepository(tmp_path), _challenger(BAD), Promotion(promote=True, min_return=100.0))
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_FIRST_VERSION, True)
    assert verdict.champion_version == 0


def test_a_comparison_may_be_waived(champion: Champion) -> None:
    """ALWAYS promotes even the worst policy, and says that nothing was compared."""
    promotion = Promotion(promote=True, gate=Gate.of(GateConfig(criterion=GateConfig.ALWAYS)))
    verdict = judge(champion(GOOD), _challenger(BAD), promotion)
    assert (verdict.outcome, verdict.promote, verdict.champion_version) == (
        GateVerdict.OUTCOME_ALWAYS,
        True,
        1,
    )


@pytest.mark.parametrize(
    "model", [b"no model", linear_policy([1.0] * 3), linear_policy([1.0] * 4, outputs=3)]
)
def test_what_cannot_be_compared_is_kept(champion: Champion, model: bytes) -> None:
    """A champion that cannot be loaded or has other spaces is not replaced.

    A person has to decide.
    """
    verdict = judge(champion(model), _challenger(GOOD), PROMOTION)
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_NOT_COMPARABLE, False)
    assert "cannot be compared with version 1" in verdict.explanation


def test_a_damaged_champion_is_not_compared(champion: Champion) -> None:
    """The champion's bytes are verified before they run."""
    repository = champion(BAD)
    path = repository.root / "models/pole/1/model.onnx"
    path.chmod(0o644)
    path.write_bytes(GOOD)
    verdict = judge(repository, _challenger(GOOD), PROMOTION)
    assert verdict.outcome == GateVerdict.OUTCOME_NOT_COMPARABLE
    assert "sha256" in verdict.explanation
