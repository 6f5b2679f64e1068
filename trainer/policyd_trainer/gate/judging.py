"""The gate: from a challenger's model to a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from policy_api.v1.gate_pb2 import DifferenceInterval, GateConfig, GateVerdict, PairedReturns
from policyd.counted import counted
from policyd.errors import CorruptArtifact
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo
from policyd_trainer.evaluation.budget import GATE, Budget
from policyd_trainer.evaluation.figures import first_seed
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.decision import Comparison, Play, Returns, compare
from policyd_trainer.gate.intervals import mean_interval
from policyd_trainer.gate.playing import paired_play
from policyd_trainer.gate.served import NotComparable, served_policy

FEWEST = 10  # fewer episodes of a comparison tell nothing
RUNS = 4  # each episode is played so often: two policies, two modes

PROMOTING = frozenset(
    {
        GateVerdict.OUTCOME_BETTER,
        GateVerdict.OUTCOME_NOT_WORSE,
        GateVerdict.OUTCOME_FIRST_VERSION,
        GateVerdict.OUTCOME_ALWAYS,
    }
)


@dataclass(frozen=True)
class Promotion:
    """The conditions for a new version to be served."""

    promote: bool = False
    alias: str = "champion"
    min_return: float | None = None  # the lowest greedy mean return that is accepted
    gate: Gate = field(default_factory=lambda: Gate.of(GateConfig()))


@dataclass(frozen=True)
class Challenger:
    """The version that is judged."""

    config: TrainingConfig
    info: EnvironmentInfo
    model: bytes  # of model.onnx
    greedy_mean_return: float  # from its evaluation
    budget: Budget = field(default_factory=Budget)  # without limits


def judge(
    repository: ModelRepository,
    challenger: Challenger,
    promotion: Promotion,
    each_block: Callable[[], None] = lambda: None,
) -> GateVerdict:
    """Whether the alias may move to the challenger.

    `each_block` is called before each block.
    """
    verdict = GateVerdict(
        config=promotion.gate.to_proto(),
        alias=promotion.alias,
        min_return=promotion.min_return,
        greedy_mean_return=challenger.greedy_mean_return,
    )
    policy = challenger.config.policy
    version = repository.aliases(policy).aliases.get(promotion.alias)
    if version is not None:
        verdict.champion_version = version
    if promotion.min_return is not None and challenger.greedy_mean_return < promotion.min_return:
        return _decided(verdict, GateVerdict.OUTCOME_BELOW_FLOOR)
    if version is None:
        return _decided(verdict, GateVerdict.OUTCOME_FIRST_VERSION)
    if promotion.gate.criterion == GateConfig.ALWAYS:
        return _decided(verdict, GateVerdict.OUTCOME_ALWAYS)
    try:
        champion = repository.read(policy, version)
        _play_against(champion, repository, challenger, promotion.gate, verdict, each_block)
    except (NotComparable, CorruptArtifact) as error:
        return _decided(verdict, GateVerdict.OUTCOME_NOT_COMPARABLE, error.message)
    return verdict


def _play_against(
    champion: PublishedVersion,
    repository: ModelRepository,
    challenger: Challenger,
    gate: Gate,
    verdict: GateVerdict,
    each_block: Callable[[], None],
) -> None:
    config, info = challenger.config, challenger.info
    verdict.champion_digest = champion.digest
    if why := too_small(challenger.budget):
        _decided(verdict, GateVerdict.OUTCOME_CANNOT_TELL, why)
        return
    asked, gate = gate, within(gate, challenger.budget)
    verdict.config.CopyFrom(gate.to_proto())
    # Fresh episodes for each champion: no policy was ever chosen by its results on them.
    verdict.first_seed = first_seed(config.seed, f"gate against {champion.version}")
    model = repository.read_model(champion.policy, champion.version)
    opponent = served_policy(model, champion.metadata.distribution, info)
    own = served_policy(challenger.model, info.codec.describe_distribution(), info)
    play = paired_play(config, info, own, opponent, verdict.first_seed, challenger.budget)
    play = _announced(play, each_block, challenger.budget)
    comparison = compare(play, gate, seed=verdict.first_seed, best_return=info.best_return)
    _describe(verdict, comparison, gate)
    _decided(verdict, comparison.outcome)
    if comparison.outcome == GateVerdict.OUTCOME_CANNOT_TELL and gate.max_episodes < asked.max_episodes:
        verdict.explanation += (
            f"; evaluation_steps {challenger.budget.steps:,.0f} leave no room for more: "
            f"raise it, so that the gate can play up to {asked.max_episodes}"
        )


def within(gate: Gate, budget: Budget) -> Gate:
    """The gate, with as many episodes as the budget allows. A number that was asked for stays.

    At least `FEWEST` episodes are played, because fewer tell nothing (see `too_small`).
    """
    allowed = max(FEWEST, budget.episodes(gate.max_episodes, runs=RUNS, until=GATE))
    block, most = gate.block_episodes, gate.max_episodes
    if "block_episodes" not in gate.asked:
        block = min(block, allowed)
    if "max_episodes" not in gate.asked:
        most = max(block, min(most, allowed))
    return replace(gate, block_episodes=block, max_episodes=most)


def too_small(budget: Budget) -> str:
    """Why a comparison within the given budget would tell nothing; empty if it could.

    Without `evaluation_steps`, the fewest episodes are always played.
    """
    if not budget.is_strict or budget.episodes(FEWEST, runs=RUNS, until=GATE) >= FEWEST:
        return ""
    needed = math.ceil(RUNS * FEWEST * budget.length)
    return (
        f"evaluation_steps {budget.steps:,.0f} leave {max(0, budget.steps - budget.spent):,.0f} steps, and "
        f"{counted(FEWEST, 'paired episodes')} take about {needed:,}; raise evaluation_steps, or leave it out"
    )


def _announced(play: Play, each_block: Callable[[], None], budget: Budget) -> Play:
    def announced(indices: range) -> Returns:
        budget.begin_gate(RUNS * indices.stop)
        each_block()
        return play(indices)

    return announced


def _describe(verdict: GateVerdict, comparison: Comparison, gate: Gate) -> None:
    returns, interval = comparison.returns, comparison.interval
    coverage = 1 - gate.error_rate
    verdict.episodes, verdict.looks = len(returns.champion_greedy), comparison.looks
    verdict.difference.CopyFrom(
        DifferenceInterval(mean=interval.mean, low=interval.low, high=interval.high, coverage=coverage)
    )
    verdict.greedy.CopyFrom(_paired(returns, GateConfig.GREEDY, verdict.first_seed))
    verdict.sampled.CopyFrom(_paired(returns, GateConfig.SAMPLED, verdict.first_seed))


def _paired(returns: Returns, mode: GateConfig.Mode.ValueType, seed: int) -> PairedReturns:
    greedy = mode == GateConfig.GREEDY
    differences = returns.differences(mode)
    interval = mean_interval(differences, tail=0.025, unseen_tail=0.025, scale=returns.scale, seed=seed)
    return PairedReturns(
        challenger=returns.challenger_greedy if greedy else returns.challenger_sampled,
        champion=returns.champion_greedy if greedy else returns.champion_sampled,
        difference=DifferenceInterval(
            mean=interval.mean, low=interval.low, high=interval.high, coverage=0.95
        ),
    )


def _decided(verdict: GateVerdict, outcome: GateVerdict.Outcome.ValueType, why: str = "") -> GateVerdict:
    verdict.outcome = outcome
    verdict.promote = outcome in PROMOTING
    verdict.explanation = explain(verdict, why)
    return verdict


def explain(verdict: GateVerdict, why: str = "") -> str:
    """The verdict in one line."""
    found, margin = verdict.difference, f"{verdict.config.margin:g}"
    numbers = (
        f"mean return {found.mean:+.2f} against version {verdict.champion_version}, "
        f"{found.coverage:.0%} interval {found.low:+.2f} to {found.high:+.2f}, "
        f"{counted(verdict.episodes, 'paired episodes')}"
    )
    greedy = f"greedy mean return {verdict.greedy_mean_return:.2f}"
    floor = f", at least {verdict.min_return:g}" if verdict.HasField("min_return") else ""
    champion = f"version {verdict.champion_version}"
    return {
        GateVerdict.OUTCOME_BETTER: f"better: {numbers}",
        GateVerdict.OUTCOME_NOT_WORSE: f"not worse by more than {margin}: {numbers}",
        GateVerdict.OUTCOME_WORSE: f"worse: {numbers}",
        GateVerdict.OUTCOME_CANNOT_TELL: f"cannot tell: {why or numbers}",
        GateVerdict.OUTCOME_BELOW_FLOOR: f"{greedy} is below the floor {verdict.min_return:g}",
        GateVerdict.OUTCOME_FIRST_VERSION: f"the first {verdict.alias}: {greedy}{floor}",
        GateVerdict.OUTCOME_ALWAYS: f"promoted without a comparison with {champion}: {greedy}{floor}",
        GateVerdict.OUTCOME_NOT_COMPARABLE: f"cannot be compared with {champion}: {why}",
    }[verdict.outcome]
