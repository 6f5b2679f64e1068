from collections.abc import Callable

from policyd.experience.book import Book, Place

def take(
    body: bytes, book: Book, begin: Place, is_recorded: Callable[[str], bool], now: float
) -> tuple[bytes, dict[str, int]]:
    """Enters the decisions of a message into the book, as Book.decide does with each.

    Args:
        body: serialised DecisionRecords, each behind its length (uint32, little-endian).
        book: the open episodes.
        begin: where the journal will have the first byte of what this returns.
        is_recorded: whether a policy records; asked when the policy changes.
        now: seconds since the epoch.

    Returns:
        The records of the journal, framed, and the number of decisions of each policy.

    Raises:
        ValueError: a record is cut short, or is none. Nothing was entered.
    """
