"""Where a job finds a policy's episodes.

In the folder that it shares with the server, or in a copy of what the server put into object
storage.
"""

from __future__ import annotations

import time
from pathlib import Path

from policyd.experience.learned import Learned, read_learned, write_learned
from policyd.experience.shared import Incoming
from policyd.repository.object_client import ObjectClient

#: Seconds between two requests to object storage.
LOOK_SECONDS = 1.0


class Source:
    """The recorded experience of one policy."""

    def __init__(self, root: Path, policy: str, objects: ObjectClient | None = None) -> None:
        """`root` is the server's folder, or with `objects` the folder of the local copy."""
        self.root, self._policy = root, policy
        self.log = root / "episodes" / policy  # the folder of sealed episodes
        self._copy = None if objects is None else Incoming(root, policy, objects)
        self._looked = float("-inf")

    def learned(self) -> Learned:
        """What jobs have learned from so far.

        Raises Unavailable if object storage cannot be reached.
        """
        if self._copy is not None:
            self._copy.update_small()
            self._copy.update(read_learned(self.root, self._policy).position.segment)
        return read_learned(self.root, self._policy)

    def look(self, segment: int) -> None:
        """Copies what is new, from a segment on.

        Raises Unavailable if the storage cannot be reached.
        """
        if self._copy is not None and time.monotonic() - self._looked > LOOK_SECONDS:
            self._copy.update_small()
            self._copy.update(segment)
            self._looked = time.monotonic()

    def tell(self, learned: Learned) -> None:
        """Stores what was learned from. Raises Unavailable if object storage cannot be reached."""
        write_learned(self.root, self._policy, learned)
        if self._copy is not None:
            self._copy.tell()
