from collections.abc import Iterable

from policyd_server.sampling import Float32, Int64

def decide(
    probs: Float32,
    pieces: Iterable[tuple[int, int, int, bool]],
) -> tuple[Int64, Float32]:
    """Each row's action and its log-probability, [B] both, from its probabilities, [B, n].

    A piece is a request's seed, the sampling index of its first row, its rows, and whether it wants
    modes.
    ValueError: a row has no positive probability.
    """
