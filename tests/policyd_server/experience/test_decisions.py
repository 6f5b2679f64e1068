"""What a request that names its decisions must look like, and the seed that it gets."""

from __future__ import annotations

import pytest

from policy_api.v1.policy_pb2 import ActRequest, Decision
from policyd.errors import InvalidArgument
from policyd_server.acting.ticket import Ticket
from policyd_server.experience.decisions import check_decisions, name_seed
from tests.policyd_server.conftest import Load


def _request(*decisions: Decision, **fields: int) -> ActRequest:
    return ActRequest(decisions=decisions, **fields)  # type: ignore[arg-type]  # mypy sees every field


def test_a_retry_draws_with_the_same_seed(load: Load) -> None:
    """The seed follows from policy, episode, agent and step. A seed of the client stays."""
    model = load("cartpole")
    first, again = (_request(Decision(episode_id="e", agent_id="a", step=3)) for _ in range(2))
    other = _request(Decision(episode_id="e", agent_id="a", step=4))
    own = _request(Decision(episode_id="e"), seed=7)
    tickets = [Ticket(model, bytes(16), 1, seed=7) for _ in range(4)]
    for ticket, request in zip(tickets, (first, again, other, own), strict=True):
        name_seed(ticket, request)
    seeds = [ticket.seed for ticket in tickets]
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[3] == 7


@pytest.mark.parametrize(
    ("field", "decision"),
    [
        ("decisions[1].episode_id", Decision()),
        ("decisions[1].episode_id", Decision(episode_id="e" * 65)),
        ("decisions[1].agent_id", Decision(episode_id="e", agent_id="a" * 65)),
        ("decisions[1].subject", Decision(episode_id="e", subject="s" * 129)),
        ("decisions[1].step", Decision(episode_id="e", step=-1)),
    ],
)
def test_a_malformed_name_is_refused_with_its_place(field: str, decision: Decision) -> None:
    """The error names the row and the field, and not the good row before it."""
    with pytest.raises(InvalidArgument) as raised:
        check_decisions(_request(Decision(episode_id="good"), decision), rows=2)
    assert [violation.field for violation in raised.value.violations] == [field]


def test_names_are_one_a_row_and_only_for_what_is_sampled() -> None:
    """Fewer names than rows, and deterministic requests, are refused; a good request passes."""
    named = Decision(episode_id="e")
    check_decisions(_request(named), rows=1)
    with pytest.raises(InvalidArgument, match="decisions"):
        check_decisions(_request(named), rows=2)
    with pytest.raises(InvalidArgument, match="deterministic"):
        check_decisions(_request(named, deterministic=True), rows=1)
