"""The recorder process of one server.

`python -m policyd_server.experience.process ROOT STORE FD OWNER`. STORE is the URL of a repository
in object storage that gets a copy, or empty.

FD is a listening Unix socket that the process OWNER made. Each worker has a connection for
calls, and one that brings the memory with its decisions (ring.py) and wakes this process when it
sleeps. A decision is in that memory before its answer goes out, and so before any call that reports
on it. One thread reads everything that has arrived, applies the decisions, then the calls, makes
them durable together, and only then replies. So no report can overtake the decision that it is
about, whichever workers they came by.
"""

from __future__ import annotations

import logging
import select
import selectors
import signal
import socket
import sys
import time
from pathlib import Path

from policyd.errors import Exhausted, Internal, PolicydError
from policyd.runtime import log, status
from policyd_server import child_process
from policyd_server.experience.counts import Behind
from policyd_server.experience.desk import Desk
from policyd_server.experience.ring import RingReader
from policyd_server.experience.sharing import Sharing
from policyd_server.experience.wire import CALL, REPLY, Frame, Frames, encode, joined, split

TIDY_SECONDS = 1.0
#: Decisions wait at most this long for others, unless a call comes: waking up for each one costs
#: more than taking it. With few CPUs, each round also interrupts a worker, whose caches are cold
#: afterwards.
GATHER_SECONDS = 0.05
READ_BYTES = 1 << 20
_LOG = logging.getLogger(__name__)


class Connection:
    """The connection to one worker."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.frames = Frames()
        self.waiting = b""  # bytes that were not sent yet
        self.ring: RingReader | None = None  # the worker's decisions, if this is the connection for them
        self.gone = False  # whether the worker has ended

    def read(self) -> list[Frame]:
        """Returns the messages that have arrived."""
        found: list[Frame] = []
        while not self.gone:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.end, READ_BYTES, 1)
            except BlockingIOError:
                break
            except OSError:
                self.gone = True
                break
            for descriptor in descriptors:
                self.ring = RingReader(descriptor)
            self.gone = not data
            found += self.frames.feed(data)
        return found

    def flush(self) -> None:
        """Sends as much as the socket takes. OSError: the worker has ended."""
        while self.waiting:
            try:
                self.waiting = self.waiting[self.end.send(self.waiting) :]
            except BlockingIOError:
                return


class RecorderProcess:
    """The recorder's loop. It ends at SIGTERM, after it has made everything durable."""

    def __init__(self, root: Path, listener: socket.socket) -> None:
        self._desk = Desk(root)
        self._listener = listener
        self._calls = selectors.EpollSelector()  # also of the listening socket
        self._decisions = selectors.EpollSelector()
        self._all = selectors.EpollSelector()
        self._all.register(self._calls, selectors.EVENT_READ)
        self._all.register(self._decisions, selectors.EVENT_READ)
        self._listener.setblocking(False)
        self._calls.register(self._listener, selectors.EVENT_READ, None)
        self._arrivals = select.poll()  # of connections: an accept that fails costs more than this
        self._arrivals.register(self._listener, select.POLLIN)
        self._later: list[tuple[Connection, Frame]] = []  # calls for the next round
        self._ending = False

    def end(self, *_: object) -> None:
        """Asks the loop to end."""
        self._ending = True

    def run(self) -> None:
        """Serves until `end`."""
        tidied, is_behind = time.monotonic(), False
        while not self._ending:
            seconds = 0.0 if is_behind else TIDY_SECONDS
            if self._later or not self._may_sleep() or self._all.select(timeout=seconds):
                if not self._later:
                    self._calls.select(timeout=GATHER_SECONDS)  # returns at once if a call has come
                self._round()
            if is_behind or time.monotonic() - tidied >= TIDY_SECONDS:
                is_behind = self._tidy()
                tidied = time.monotonic()
        self._round()
        self._desk.recorder.close()

    def _may_sleep(self) -> bool:
        """Whether no worker has put a decision. From now on, a worker sends BELL when it does."""
        may_sleep = [ring.may_sleep() for ring in self._rings()]  # a list, so that each ring is told
        return all(may_sleep)

    def _round(self) -> None:
        """Handles everything that has arrived: decisions, then calls, one commit, then the replies.

        The decisions that the calls report on are in shared memory by now, so all rings are read
        once more. Calls that arrive only then wait for the next round.
        """
        calls = [each for each in self._later if not each[0].gone] + self._read_all()
        self._later = self._read_all() if calls else []
        self._reply(calls)

    def _read_all(self) -> list[tuple[Connection, Frame]]:
        """Applies the decisions that have arrived, and returns the calls."""
        if self._arrivals.poll(0):
            self._accept()
        ready = [key.data for key, _ in self._calls.select(0) + self._decisions.select(0)]
        connections = [each for each in ready if each is not None]
        frames = [(each, frame) for each in connections for frame in self._read(each) if frame.kind == CALL]
        for ring in self._rings():
            self._take(ring)
        for connection in connections:
            if connection.gone:
                self._drop(connection)
        return [(each, frame) for each, frame in frames if not each.gone]

    def _read(self, connection: Connection) -> list[Frame]:
        """Returns the messages that have arrived by one connection. One may bring a ring."""
        decided = connection.ring is not None
        frames = connection.read()
        if connection.ring is not None and not decided:
            self._calls.unregister(connection.end)
            self._decisions.register(connection.end, selectors.EVENT_READ, connection)
        return frames

    def _accept(self) -> None:
        """Accepts new connections."""
        while True:
            try:
                end, _ = self._listener.accept()
            except BlockingIOError:
                return
            end.setblocking(False)
            self._calls.register(end, selectors.EVENT_READ, Connection(end))

    def _connections(self, selector: selectors.BaseSelector) -> list[Connection]:
        return [key.data for key in selector.get_map().values() if key.data is not None]

    def _rings(self) -> list[RingReader]:
        return [each.ring for each in self._connections(self._decisions) if each.ring is not None]

    def _take(self, ring: RingReader) -> None:
        """Applies the decisions that a worker has put into its memory."""
        for records in ring.read():
            self._decide(records)

    def _decide(self, records: memoryview) -> None:
        """Takes decisions together, or one by one if one of them is damaged."""
        try:
            self._desk.decide(records)
        except Exception:  # noqa: BLE001 -- one bad message must not end the recorder
            for record in split(bytes(records)):
                self._decide_one(record)

    def _decide_one(self, record: bytes) -> None:
        try:
            self._desk.decide(joined([record]))
        except Exception:  # noqa: BLE001 -- as above
            _LOG.exception("a decision could not be recorded")

    def _reply(self, calls: list[tuple[Connection, Frame]]) -> None:
        """Answers the calls: what happened to each outcome, then whether it is on the disk."""
        replies = []
        for connection, frame in calls:
            try:
                replies.append((connection, self._answer(frame)))
            except Behind:  # other calls have a turn first
                self._later.append((connection, frame))
        try:
            self._desk.recorder.commit()
        except Exhausted as error:
            _LOG.error("%s", error.message)
            self._later = [each for each in self._later if each not in calls]
            replies = [(connection, _failed(frame, error)) for connection, frame in calls]
        for connection, reply in replies:
            connection.waiting += reply
        for connection in self._connections(self._calls):
            if connection.waiting:
                self._flush(connection)
        for ring in self._rings():
            ring.release()

    def _flush(self, connection: Connection) -> None:
        """Sends what waits. The rest is sent when the worker reads again."""
        try:
            connection.flush()
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.waiting else 0)
            self._calls.modify(connection.end, events, connection)
        except (OSError, KeyError, ValueError):
            self._drop(connection)

    def _answer(self, frame: Frame) -> bytes:
        caller, _, request = frame.body.partition(b"\0")
        try:
            answer = self._desk.answer(frame.code, caller.decode(), request)
        except Behind:
            raise
        except PolicydError as error:
            return _failed(frame, error)
        except OSError as error:
            full = Exhausted(f"the disk failed: {error.strerror}", reason="DISK_FULL", retry_after=5)
            return _failed(frame, full)
        except Exception as error:  # noqa: BLE001 -- as above
            _LOG.exception("a call of the recorder failed")
            return _failed(frame, Internal(f"the recorder failed: {type(error).__name__}"))
        return encode(REPLY, answer, frame.number)

    def _tidy(self) -> bool:
        """Tidies up. Returns whether there is more to do at once."""
        try:
            return self._desk.tidy()
        except Exception:  # noqa: BLE001 -- one bad message must not end the recorder
            _LOG.exception("tidying failed; the next round tries again")
            return False

    def _drop(self, connection: Connection) -> None:
        if connection.end.fileno() >= 0:
            (self._calls if connection.ring is None else self._decisions).unregister(connection.end)
            connection.end.close()
        if connection.ring is not None:
            connection.ring.close()


def _failed(frame: Frame, error: PolicydError) -> bytes:
    return encode(REPLY, status.to_status(error).SerializeToString(), frame.number, 1)


def main() -> None:
    """Takes over the socket and serves. The kernel kills the process when its owner dies."""
    root, store, listening, owner = sys.argv[1:]
    if not child_process.dies_with(int(owner)):
        return
    log.configure("text")
    listener = socket.socket(fileno=int(listening))
    process = RecorderProcess(Path(root), listener)
    signal.signal(signal.SIGTERM, process.end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner ends it, after its workers
    sharing = Sharing(Path(root), store) if store else None
    if sharing is not None:
        sharing.start()
    process.run()
    if sharing is not None:
        sharing.close()


if __name__ == "__main__":
    main()
