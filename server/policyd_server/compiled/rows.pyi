from collections.abc import Callable, Sequence

from policyd_server.sampling import Float32

class Rows:
    """Answers plain requests for one version.

    Plain requests have raw observations or pixels, and at most a seed, a first_row and decisions.
    They are read into ONNX Runtime's input tensor, and the responses are written from its output
    tensors. For one thread.
    """

    def __init__(
        self,
        observations: Float32,  # [max_rows, *shape]
        probs: Float32,  # [max_rows, n]
        values: Float32 | None,  # [max_rows]
        run: Callable[[int], None],  # computes the first `rows` rows of probs and values from observations
        receipt: bytes,  # how every response begins
        seed_state: int,  # 64 bits: the first state of the seeds for requests without one
    ) -> None: ...
    def answers(
        self,
        asked: Sequence[tuple[tuple[object, int, int, int], bytes]],
        record: Callable[[bytes, int, str], None] | None = None,
        caller_of: Callable[[int], bytes] | None = None,
    ) -> list[bytes | None]:
        """Returns the serialised ActResponses, with as few calls of `run` as the requests fit into.

        Each request is its serialised ActRequest and a tuple: (anything, where the observations
        begin, number of rows, where seed and first_row begin). If seed and first_row begin after
        the observations, these are raw float32. If they begin before, the observations are typed
        observations of uint8, which are the request's last bytes.

        A response is None if an observation is not finite, if the bytes besides the observations
        hold more than a seed, a first_row and one well-formed decision per row, if no call can hold
        the rows, or if the graph computed NaN, an infinity, or no distribution. Raises what `run`
        raises.

        Before this returns, `record` gets the records of named decisions, their number and their
        policy. They are serialised DecisionRecords, each after its length (uint32, little-endian).
        Without `record`, the response to a request with decisions is None. `caller_of` returns the
        name of the caller of the request at an index. Without it, the callers have no names.
        """
