"""The gate of a continuous job by evidence: off-policy estimates from episodes kept apart.

The baseline of the doubly robust estimate depends on what was observed alone (Jiang and Li, 2016,
with Qhat(s, a) = Vhat(s)). It is unbiased like any other, and needs no means over actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.evidence import features
from policyd.evidence.logs import NORMAL_POWERS, POWERS, Logs
from policyd.evidence.off_policy import ERROR_RATE, LEAST_EPISODES, Evaluation, Verdict, evaluate
from policyd.repository import ModelRepository
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.experience.held_out import HeldOut
from policyd_trainer.experience.learning import LivePolicy
from policyd_trainer.experience.rules import Rules, ages
from policyd_trainer.experience.selection import Candidate, Dropped, within_shares
from policyd_trainer.experience.sequences import Sequence, sequence_of
from policyd_trainer.spaces.boxes import BoxCodec

MOST_STEPS = 1000  # most steps of an episode that are used
MOST_NUMBERS = 2**25  # most numbers of all observations together
OUTCOMES = {
    Verdict.BETTER: GateVerdict.OUTCOME_BETTER,
    Verdict.WORSE: GateVerdict.OUTCOME_WORSE,
    Verdict.CANNOT_TELL: GateVerdict.OUTCOME_CANNOT_TELL,
}


class EvidenceGate:
    """Judges the learned policy by episodes in which other versions acted.

    No caller and no subject has more than its share of them, as in a batch.
    """

    def __init__(self, held_out: HeldOut, rules: Callable[[], Rules], alias: str, *, unsure: bool) -> None:
        """`unsure`: whether to promote a version if the estimates cannot tell."""
        self.held_out, self._rules, self._alias, self._unsure = held_out, rules, alias, unsure

    def verdict(self, repository: ModelRepository, live: LivePolicy) -> GateVerdict:
        """Whether the alias may move to `live`, and why."""
        aliases = repository.aliases(live.config.policy)
        age, rules = ages(aliases, self._alias), self._rules()
        candidates = [
            candidate
            for candidate in _whole(self.held_out.read(), live)
            if age(int(candidate.sequence.versions.min())) <= rules.max_version_lag
        ]
        kept = within_shares(candidates, rules.max_caller_share, rules.max_subject_share, Dropped())
        episodes = [candidate.sequence for candidate in kept]
        found = evaluate(logs_of(episodes, live)) if len(episodes) >= LEAST_EPISODES else None
        verdict = GateVerdict(
            alias=self._alias,
            champion_version=aliases.aliases.get(self._alias, 0),
            outcome=OUTCOMES[found.verdict if found else Verdict.CANNOT_TELL],
            episodes=len(episodes),
        )
        verdict.promote = verdict.outcome == GateVerdict.OUTCOME_BETTER or (
            self._unsure and verdict.outcome == GateVerdict.OUTCOME_CANNOT_TELL
        )
        verdict.explanation = self._explained(verdict, found)
        if found is not None:
            difference = verdict.difference
            difference.mean, difference.coverage = found.sequence.mean, 1 - ERROR_RATE
            difference.low, difference.high = found.sequence.low, found.sequence.high
        return verdict

    def _explained(self, verdict: GateVerdict, found: Evaluation | None) -> str:
        few = f"{verdict.episodes} whole episodes were kept apart, fewer than {LEAST_EPISODES}"
        why = few if found is None else found.reason
        name = GateVerdict.Outcome.Name(verdict.outcome).removeprefix("OUTCOME_")
        text = f"{name} by off-policy estimates: {why}"
        if verdict.outcome != GateVerdict.OUTCOME_CANNOT_TELL:
            return text
        return f"{text}; {'promoted' if verdict.promote else 'kept back'} as `evidence` says"


def logs_of(sequences: list[Sequence], live: LivePolicy) -> Logs:
    """Whole episodes, with the outputs of `live` for each of their steps."""
    lengths = np.array([len(sequence) for sequence in sequences])
    rows = np.concatenate([sequence.observations for sequence in sequences])  # [M, D]
    actions = np.concatenate([sequence.actions for sequence in sequences])
    recorded = np.concatenate([sequence.log_probs for sequence in sequences]).astype(np.float64)
    steps = np.concatenate([np.arange(length) for length in lengths])
    at = np.repeat(np.arange(len(lengths)), lengths), steps

    def padded(values: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(lengths), int(lengths.max()), *values.shape[1:]), values.dtype)
        whole[at] = values
        return whole

    outputs = live.outputs(rows)  # [M, outputs]
    distribution = live.spaces.codec.distribution
    log_probs = [distribution.log_probs(np, outputs, actions), *_probes(live, outputs, actions)]
    ratios = [each.astype(np.float64) - recorded for each in log_probs]
    seen = rows[:, : live.spaces.encoder.observed].astype(np.float64)
    states = padded(features.state_features(seen, steps.astype(np.float64)))
    return Logs(
        rewards=padded(np.concatenate([sequence.rewards for sequence in sequences]).astype(np.float64)),
        log_ratios=padded(ratios[0]),
        valid=padded(np.ones(len(rows), np.bool_)),
        features=states,
        expected=states,
        probes=np.stack([padded(probe) for probe in ratios[1:]]),
    )


def _whole(episodes: Iterable[pb.Episode], live: LivePolicy) -> Iterable[Candidate]:
    """The episodes whose steps can all be used, up to MOST_NUMBERS numbers."""
    numbers, encoder, codec = 0, live.spaces.encoder, live.spaces.codec
    for episode in episodes:
        if not 0 < len(episode.steps) <= MOST_STEPS or episode.end == pb.ABANDONED:
            continue
        try:
            sequence = sequence_of(episode, encoder, codec)
        except ValueError:  # the observation belongs to another space
            continue
        if sequence is None or len(sequence) < len(episode.steps):
            continue
        numbers += sequence.observations.size
        if numbers > MOST_NUMBERS:
            return
        yield Candidate(sequence, episode.caller, episode.subject)


def _probes(live: LivePolicy, outputs: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
    """Log-probabilities [M] under sharper and flatter distributions, for the mean-weight check."""
    codec = live.spaces.codec
    if not isinstance(codec, BoxCodec):
        logits = [outputs * power for power in POWERS]
        return [codec.distribution.log_probs(np, each, actions) for each in logits]
    mean, std = codec.distribution.moments(np, outputs)
    normal = DiagonalGaussian(codec.distribution.size, codec.options.squash)
    moments = [np.concatenate((mean, np.log(std) - 0.5 * np.log(p)), axis=1) for p in NORMAL_POWERS]
    return [normal.log_probs(np, each, actions) for each in moments]
