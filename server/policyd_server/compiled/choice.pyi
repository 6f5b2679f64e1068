from collections.abc import Iterable

from policyd_server.sampling import Float32, Int64

def decide(
    probs: Float32,
    pieces: Iterable[tuple[int, int, int, bool]],
) -> tuple[Int64, Float32]:
    """Returns each row's action and its log-probability, [B] both, from probabilities [B, n].

    A piece is a request's seed, the sampling index of its first row, its number of rows, and
    whether it wants modes. Raises ValueError if a row has no positive probability.
    """
