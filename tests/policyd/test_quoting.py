"""Text from outside is shown bounded and on one line."""

from hypothesis import given
from hypothesis import strategies as st

from policyd.errors import InvalidArgument
from policyd.quoting import MAX_QUOTED, escaped, readable, shown

CONTROLS = "\x1b\x07\r\x08\x7f\x9b\x85\u200e\u202a\u202e\u2028\u2029\u2066\u2069"


@given(st.text())
def test_what_is_shown_is_printable_and_bounded(text: str) -> None:
    """Any text is shown without control characters, line ends and lone surrogates."""
    assert shown(text).isprintable()
    assert len(shown(text)) <= 10 * MAX_QUOTED + 40  # one character may become \\U0001f986


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_printable_text_stays_as_it_is(text: str) -> None:
    """Only characters that are not printable change."""
    assert escaped(text) == text


@given(st.text())
def test_what_a_terminal_may_show_has_lines_and_no_control(text: str) -> None:
    """Lines, tabs and spaces stay. Nothing else that is not printable does."""
    kept = readable(text)
    assert all(character.isprintable() or character in "\n\t" or character.isspace() for character in kept)
    assert not set(kept) & set(CONTROLS)
    assert len(kept.split("\n")) == len(text.split("\n"))


def test_control_characters_are_written_out() -> None:
    """Terminal sequences, bells, carriage returns and marks of text direction are written out."""
    assert readable("a\tb\nc\u00a0d") == "a\tb\nc\u00a0d"
    assert readable("\x1b[2J\x07\r\u202e\u2028\x9b") == r"\x1b[2J\x07\r\u202e\u2028\x9b"


def test_a_long_value_tells_its_length() -> None:
    """A long text, or a number that Python refuses to write, is shortened and tells its length."""
    assert shown("x" * 1000) == "x" * MAX_QUOTED + "... (1000 characters)"
    assert shown(10**5000) == "a whole number of more than 200 digits"
    assert shown(-(10**5000)) == "a whole number of more than 200 digits"
    assert shown(7) == "7"


def test_an_invalid_argument_quotes_a_prefix() -> None:
    """The error has prefixes of the field, of the value that came, and of what was expected."""
    error = InvalidArgument.of("f" * 10**6, got="g\n" * 10**6, wanted="w" * 10**6)
    assert len(error.message) < 1500
    assert error.message.isprintable()
