from collections.abc import Callable, Sequence

from server.sampling import Float32

class Rows:
    """Answers plain requests for one version: raw observations, a seed and a first_row at most.

    Reads into the tensor that ONNX Runtime takes and writes answers from those that it gives. For one thread.
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
    def answers(self, asked: Sequence[tuple[tuple[object, int, int], bytes]]) -> list[bytes | None]:
        """The serialised ActResponses, by as few calls of `run` as hold the requests.

        A request is a serialised ActRequest, and before it the place where its raw observations begin and
        their rows. None: a number is not finite, something else stands behind the observations, or no call
        holds it. ValueError: a row has no positive probability; what `run` raises.
        """
