from collections.abc import Callable
from mmap import mmap

class Ring:
    """The same as `Ring` of policyd_server.experience.ring, in C.

    Its callers must hold the interpreter's lock, so that only one of them runs at a time.
    """

    def __init__(self, memory: mmap | bytearray) -> None:
        """`memory`: the whole ring, writable."""
    @property
    def is_empty(self) -> bool: ...
    def put(self, records: bytes) -> bool: ...
    def wants_bell(self) -> bool: ...
    def __call__(self, records: bytes, count: int, policy: str) -> None:
        """Puts and counts records if nothing else has to be done. Otherwise calls `otherwise`."""
    def quicken(
        self,
        until: dict[str, float],
        sent: dict[str, int],
        otherwise: Callable[[bytes, int, str], None],
        bell: Callable[[], None],
    ) -> None:
        """Sets what a call needs. Called before the first one.

        Args:
            until: by policy: until when it is known to record, time.monotonic().
            sent: number of decisions that were put, by policy.
            otherwise: gets the arguments of the call if the records cannot simply be put.
            bell: called when the recorder sleeps, and now and then, so that its end is noticed.
        """
