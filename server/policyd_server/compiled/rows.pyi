from collections.abc import Callable, Sequence

from policyd_server.sampling import Float32

class Rows:
    """Answers plain requests for one version.

    Plain requests have raw observations or pixels, and at most a seed, a first_row and decisions.
    Reads into the tensor that ONNX Runtime takes and writes answers from those that it gives. For
    one thread.
    """

    def __init__(
        self,
        observations: Float32,  # [max_rows, *shape]
        probs: Float32,  # [max_rows, n]
        values: Float32 | None,  # [max_rows]
        run: Callable[[int], None],  # computes so many rows of probs and values from observations
        receipt: bytes,  # how every answer begins
        seed_state: int,  # 64 bits: where the seeds begin that requests without one are given
    ) -> None: ...
    def answers(
        self,
        asked: Sequence[tuple[tuple[object, int, int, int], bytes]],
        record: Callable[[bytes, int, str], None] | None = None,
        caller_of: Callable[[int], bytes] | None = None,
    ) -> list[bytes | None]:
        """The serialised ActResponses, by as few calls of `run` as the requests fit into.

        Each request is its serialised ActRequest and a tuple: (anything, where the observations
        begin, number of rows, where seed and first_row begin). Numbers that begin behind the
        observations stand with raw float32 observations. Numbers that begin before them stand with
        typed observations, uint8, which are the request's last bytes. The response is None if an
        observation is not finite, if the bytes besides the observations hold more than a seed, a
        first_row and one well-formed decision a row, if no call can hold the rows, or if the graph
        computed NaN, an infinity, or no distribution. Raises what `run` raises.

        Before this returns, `record` gets the records of named decisions, their number and their
        policy. They are serialised DecisionRecords, each behind its length (uint32, little-endian).
        Without `record`, requests with decisions get None. `caller_of` says who sent the request at
        a place; without it the callers have no names.
        """
