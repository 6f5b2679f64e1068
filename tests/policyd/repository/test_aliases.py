"""Aliases: compare-and-set, history and rollback."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policyd import errors
from policyd.repository import AliasState, ModelRepository, PublishedVersion
from policyd.repository.aliases import MAX_HISTORY, version_stack, with_rollback, with_set
from tests.policyd.repository.conftest import Raw

Publish = Callable[..., PublishedVersion]


def test_a_policy_without_aliases_is_at_generation_zero(repository: ModelRepository) -> None:
    """Without a file the state is empty and valid."""
    assert repository.aliases("cartpole") == AliasState("cartpole", 0, {}, ())


def test_set_records_who_and_why(repository: ModelRepository, publish: Publish) -> None:
    """A change can be read with its number, time, actor and reason."""
    publish()
    repository.set_alias("cartpole", "champion", 1, actor="ann", reason="first")
    state = repository.aliases("cartpole")
    assert (state.generation, dict(state.aliases)) == (1, {"champion": 1})
    (change,) = state.history_of("champion")
    assert (change.kind, change.version, change.generation) == ("set", 1, 1)
    assert (change.actor, change.reason) == ("ann", "first")
    assert change.change_time.tzinfo is not None


def test_setting_what_it_names_changes_nothing(repository: ModelRepository, publish: Publish) -> None:
    """Promoting the same version twice is one change."""
    publish()
    first = repository.set_alias("cartpole", "champion", 1, actor="a", reason="r")
    assert repository.set_alias("cartpole", "champion", 1, actor="b", reason="again") == first


def test_compare_and_set(repository: ModelRepository, publish: Publish) -> None:
    """With an old generation there is a conflict, and the alias does not move."""
    publish(), publish()
    state = repository.set_alias("cartpole", "champion", 1, actor="a", reason="", expected_generation=0)
    with pytest.raises(errors.Conflict, match="generation 1, not 0"):
        repository.set_alias("cartpole", "champion", 2, actor="b", reason="", expected_generation=0)
    with pytest.raises(errors.Conflict):
        repository.rollback_alias("cartpole", "champion", actor="b", reason="", expected_generation=0)
    assert repository.aliases("cartpole") == state


def test_an_alias_names_only_what_is_published(repository: ModelRepository, publish: Publish) -> None:
    """An unknown version, policy or a bad name is refused."""
    with pytest.raises(errors.NotFound):
        repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    with pytest.raises(errors.NotFound):
        repository.rollback_alias("cartpole", "champion", actor="", reason="")
    publish()
    with pytest.raises(errors.NotFound):
        repository.set_alias("cartpole", "champion", 2, actor="", reason="")
    with pytest.raises(errors.InvalidArgument, match="alias"):
        repository.set_alias("cartpole", "../x", 1, actor="", reason="")


def test_rolling_back_twice_goes_back_two_steps(repository: ModelRepository, publish: Publish) -> None:
    """A rollback goes back in the history. At its start it fails."""
    for version in (1, 2, 3):
        publish()
        repository.set_alias("cartpole", "champion", version, actor="", reason="")

    def back() -> int:
        return repository.rollback_alias("cartpole", "champion", actor="op", reason="bad").aliases["champion"]

    assert [back(), back()] == [2, 1]
    with pytest.raises(errors.FailedPrecondition, match="no earlier version"):
        back()
    assert repository.aliases("cartpole").generation == 5
    repository.set_alias("cartpole", "champion", 3, actor="", reason="")
    assert back() == 1


def test_rollback_needs_its_target(repository: ModelRepository, raw: Raw, publish: Publish) -> None:
    """A rollback to a version that an operator deleted fails."""
    first = publish()
    publish()
    for version in (1, 2):
        repository.set_alias("cartpole", "champion", version, actor="", reason="")
    raw.delete(f"{first.path}/metadata.json")
    with pytest.raises(errors.FailedPrecondition, match="no longer there"):
        repository.rollback_alias("cartpole", "champion", actor="", reason="")


def test_a_damaged_state_is_an_error_of_the_tree(
    repository: ModelRepository, raw: Raw, publish: Publish
) -> None:
    """A state that is not our JSON is corrupt, instead of empty."""
    publish()
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    for text in ("", "[]", '{"format": 9}'):
        raw.write("aliases/cartpole.json", text.encode())
        with pytest.raises(errors.CorruptArtifact):
            repository.aliases("cartpole")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.none(), st.tuples(st.sampled_from("ab"), st.integers(1, 4))), max_size=30))
def test_the_alias_names_the_top_of_its_stack(steps: list[tuple[str, int] | None]) -> None:
    """Each generation is one change, and aliases agree with their history, for any steps."""
    state = AliasState("cartpole")
    for step in steps:
        before = state
        if step is None:
            if len(version_stack(state, "a")) > 1:
                state = with_rollback(state, "a", actor="", reason="")
        else:
            state = with_set(state, *step, actor="", reason="")
        assert state.generation == len(state.history) >= before.generation
        for alias, version in state.aliases.items():
            assert version_stack(state, alias)[-1] == version


@given(operations=st.lists(st.sampled_from("srrss"), max_size=60), kept=st.integers(1, 8))
def test_a_shortened_history_rolls_back_as_the_whole_one(operations: list[str], kept: int) -> None:
    """The stack of the last changes is the top of the whole stack, in the same order."""
    state = AliasState("p")
    for number, operation in enumerate(operations, start=1):
        if operation == "s":
            state = with_set(state, "champion", number, actor="", reason="")
        elif len(version_stack(state, "champion")) > 1:
            state = with_rollback(state, "champion", actor="", reason="")
    whole = version_stack(state, "champion")
    shortened = version_stack(replace(state, history=state.history[-kept:]), "champion")
    assert shortened == (whole[-len(shortened) :] if shortened else [])


def test_the_history_does_not_grow_without_end() -> None:
    """The oldest changes are removed.

    The alias still rolls back one step.
    """
    state = AliasState("p")
    for number in range(1, MAX_HISTORY + 10):
        state = with_set(state, "champion", number, actor="", reason="")
    assert len(state.history) == MAX_HISTORY
    assert with_rollback(state, "champion", actor="", reason="").aliases["champion"] == MAX_HISTORY + 8
