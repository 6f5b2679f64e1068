"""Records of decisions that C writes are those that protobuf would write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1.experience_pb2 import DecisionRecord
from policy_api.v1.policy_pb2 import ActRequest, ActResponse, Decision, FloatArray
from policyd_server import compiled
from policyd_server.experience.decisions import seed_of
from policyd_server.experience.wire import split
from tests.policyd_server.compiled.needed import needs_compiler

if compiled.AVAILABLE:
    from policyd_server.compiled.records import named_seed
    from policyd_server.compiled.rows import Rows

pytestmark = needs_compiler

ELEMENTS, ACTIONS, MAX_ROWS = 4, 3, 16
RECEIPT = ActResponse(policy="cartpole", version=7, digest="d" * 64).SerializeToString()
names = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
decisions = st.builds(
    Decision,
    episode_id=names,
    agent_id=st.just("") | names,
    step=st.integers(0, 2**63 - 1),
    subject=st.just("") | names,
)


class Asked:
    """One request to rows with fixed probabilities, and its records."""

    def __init__(self, request: ActRequest, *, caller: bytes = b"", values: bool = True) -> None:
        rng = np.random.default_rng(3)
        probs = rng.dirichlet(np.ones(ACTIONS), MAX_ROWS).astype(np.float32)
        self.values = rng.normal(size=MAX_ROWS).astype(np.float32)
        observations = np.zeros((MAX_ROWS, ELEMENTS), np.float32)
        rows = Rows(observations, probs, self.values if values else None, lambda _: None, RECEIPT, 1)
        payload = request.SerializeToString()
        raw = request.observations.raw
        start = payload.index(raw)
        asked = ((None, start, len(raw) // (4 * ELEMENTS), start + len(raw)), payload)
        self.records: list[DecisionRecord] = []
        (self.answer,) = rows.answers([asked], self._record, lambda _: caller)

    def _record(self, records: bytes, count: int, policy: str) -> None:
        assert policy == "cartpole"
        self.records = [DecisionRecord.FromString(record) for record in split(records)]
        assert len(self.records) == count


def request(*named: Decision, rows: int | None = None, **fields: int) -> ActRequest:
    """A request with one row per name."""
    n = len(named) if rows is None else rows
    raw = np.arange(1, n * ELEMENTS + 1, dtype="<f4").tobytes()
    return ActRequest(observations=FloatArray(raw=raw), decisions=named, **fields)  # type: ignore[arg-type]


@settings(deadline=None)
@given(named=st.lists(decisions, min_size=1, max_size=5), caller=names, values=st.booleans())
def test_records_are_what_protobuf_writes(named: list[Decision], caller: str, values: bool) -> None:
    """Every field is that of the request or the response, and nothing is left over."""
    asked = Asked(request(*named, first_row=5), caller=caller.encode(), values=values)
    answer = ActResponse.FromString(asked.answer or b"")
    assert answer.seed == seed_of("cartpole", named[0])
    actions = np.frombuffer(answer.actions.raw, "<i8")
    log_probs = np.frombuffer(answer.log_probs.raw, "<f4")
    for row, (record, name) in enumerate(zip(asked.records, named, strict=True)):
        step = record.step
        assert step.decide_time.seconds > 0
        step.ClearField("decide_time")
        expected = DecisionRecord(
            policy="cartpole",
            episode_id=name.episode_id,
            agent_id=name.agent_id,
            subject=name.subject,
            caller=caller,
        )
        expected.step.step, expected.step.version = name.step, 7
        expected.step.seed, expected.step.row = answer.seed, 5 + row
        expected.step.log_prob = log_probs[row]
        expected.step.action = actions[row].tobytes()
        begin = row * 4 * ELEMENTS
        expected.step.observation = request(*named).observations.raw[begin : begin + 4 * ELEMENTS]
        if values:
            expected.step.value = asked.values[row]
        assert record == expected


@given(decisions)
def test_the_seed_of_a_name_is_the_same_without_a_compiler(name: Decision) -> None:
    """C and Python compute the same hash, so that a retry draws the same on both paths."""
    found = named_seed(b"cartpole", name.episode_id.encode(), name.agent_id.encode(), name.step)
    assert found == seed_of("cartpole", name)


def test_a_seed_of_the_clients_own_stays() -> None:
    """The name gives a seed only if the request has none."""
    answer = Asked(request(Decision(episode_id="e"), seed=11)).answer
    assert ActResponse.FromString(answer or b"").seed == 11


@pytest.mark.parametrize(
    "wrong",
    [
        request(Decision(episode_id="e"), rows=2),
        request(Decision(episode_id="e"), Decision(episode_id="e"), rows=1),
        request(Decision()),
        request(Decision(episode_id="e" * 65)),
        request(Decision(episode_id="e", agent_id="a" * 65)),
        request(Decision(episode_id="e", subject="s" * 129)),
        request(Decision(episode_id="e", step=-1)),
        request(Decision(episode_id="é")),
    ],
)
def test_what_may_be_wrong_is_left_to_protobuf(wrong: ActRequest) -> None:
    """There is neither a response nor a record. The slow path says what is wrong."""
    asked = Asked(wrong)
    assert asked.answer is None
    assert asked.records == []
