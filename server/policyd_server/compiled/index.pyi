from collections.abc import Callable

from policyd.experience.book import Book, Place

def take(
    body: bytes | memoryview, book: Book, begin: Place, is_recorded: Callable[[str], bool], now: float
) -> tuple[bytes, dict[str, int]]:
    """Adds the decisions of a message to the book, as Book.decide does with each.

    Args:
        body: serialised DecisionRecords, each after its length (uint32, little-endian).
        book: the open episodes.
        begin: the place in the journal of the first byte that this returns.
        is_recorded: whether a policy records; called when the policy changes.
        now: seconds since the epoch.

    Returns:
        The records for the journal, with frames, and the number of decisions of each policy.

    Raises:
        ValueError: a record is cut short, or is not one. Nothing was added.
    """
