from collections.abc import Callable, Mapping, MutableMapping
from mmap import mmap

class Ring:
    """As `Ring` of policyd_server.experience.ring, in C.

    For threads that have the interpreter: no other runs meanwhile.
    """

    def __init__(self, memory: mmap | bytearray) -> None:
        """`memory`: of the whole ring, writable."""
    @property
    def is_empty(self) -> bool: ...
    def put(self, records: bytes) -> bool: ...
    def wants_bell(self) -> bool: ...
    def send(self, records: bytes, count: int, policy: str) -> None:
        """`put` and count, if that is all that there is to do; else `otherwise` gets the same."""
    def quicken(
        self,
        until: Mapping[str, float],
        sent: MutableMapping[str, int],
        otherwise: Callable[[bytes, int, str], None],
        bell: Callable[[], None],
    ) -> None:
        """Before the first `send`.

        Args:
            until: by policy: up to when it is believed to record, time.monotonic().
            sent: decisions that were put, by policy.
            otherwise: gets what is not simply put.
            bell: is called when the recorder sleeps, and now and then, so that its end is noticed.
        """
