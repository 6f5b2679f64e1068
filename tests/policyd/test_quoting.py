"""Text from outside is shown bounded and on one line."""

from hypothesis import given
from hypothesis import strategies as st

from policyd.errors import InvalidArgument
from policyd.quoting import MAX_QUOTED, escaped, readable, shown

CONTROLS = "\x1b\x07\r\x08\x7f\x9b\x85\u200e\u202a\u202e\u2028\u2029\u2066\u2069"


@given(st.text())
def test_what_is_shown_is_printable_and_bounded(text: str) -> None:
    """Whatever the text holds: no control character, no line end, no lone surrogate."""
    assert shown(text).isprintable()
    assert len(shown(text)) <= 10 * MAX_QUOTED + 40  # \\U0001f986 stands for one character


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_printable_text_stays_as_it_is(text: str) -> None:
    """Only what is not printable is changed."""
    assert escaped(text) == text


@given(st.text())
def test_what_a_terminal_may_show_has_lines_and_no_control(text: str) -> None:
    """Lines, tabs and spaces stay; nothing else that does not print."""
    kept = readable(text)
    assert all(character.isprintable() or character in "\n\t" or character.isspace() for character in kept)
    assert not set(kept) & set(CONTROLS)
    assert len(kept.split("\n")) == len(text.split("\n"))


def test_control_characters_are_written_out() -> None:
    """Sequences of terminals, bells, carriage returns, marks that turn the direction of text."""
    assert readable("a\tb\nc\u00a0d") == "a\tb\nc\u00a0d"
    assert readable("\x1b[2J\x07\r\u202e\u2028\x9b") == r"\x1b[2J\x07\r\u202e\u2028\x9b"


def test_a_long_value_tells_its_length() -> None:
    """Text, and numbers that Python itself refuses to write."""
    assert shown("x" * 1000) == "x" * MAX_QUOTED + "... (1000 characters)"
    assert shown(10**5000) == "a whole number of more than 200 digits"
    assert shown(-(10**5000)) == "a whole number of more than 200 digits"
    assert shown(7) == "7"


def test_an_invalid_argument_quotes_a_prefix() -> None:
    """Of the field, of what came, and of what was expected."""
    error = InvalidArgument.of("f" * 10**6, got="g\n" * 10**6, wanted="w" * 10**6)
    assert len(error.message) < 1500
    assert error.message.isprintable()
