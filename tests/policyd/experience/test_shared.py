"""A server's log in object storage, and a learner's copy of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import FailedPrecondition
from policyd.experience.configs import ExperienceConfigs
from policyd.experience.learned import Learned, read_learned, write_learned
from policyd.experience.sealed import Position, SealedLog, read_sealed
from policyd.experience.shared import PIECE_BYTES, Incoming, Outgoing, pieces
from policyd.repository.object_client import ObjectClient
from policyd.repository.object_url import open_objects
from tests.stores import StoreServer

POLICY = "robot"


class Shared:
    """A server's folder, a store, and a learner's folder."""

    def __init__(self, folder: Path, client: ObjectClient) -> None:
        self.server, self.learner, self.client = folder / "server", folder / "learner", client
        self.log = SealedLog(self.server / "episodes" / POLICY, segment_bytes=3 * PIECE_BYTES)
        self.outgoing, self.incoming = Outgoing(self.server, client), Incoming(self.learner, POLICY, client)

    def seal(self, name: str, size: int = 100) -> None:
        """Seals one episode with an observation of that many bytes."""
        step = pb.RecordedStep(observation=b"o" * size, action=bytes(8), reported=True)
        self.log.append(pb.Episode(policy=POLICY, episode_id=name, subject=name, steps=[step]))
        self.log.commit()

    def exchange(self, segment: int = 1) -> None:
        """Lets both ends exchange once."""
        self.outgoing.exchange()
        self.incoming.update_small()
        self.incoming.update(segment)

    def same(self) -> bool:
        """Whether the learner reads the server's episodes at the same positions."""
        found = [list(read_sealed(root / "episodes" / POLICY)) for root in (self.server, self.learner)]
        return found[0] == found[1]


@pytest.fixture
def shared(tmp_path: Path, store: StoreServer) -> Iterator[Shared]:
    """A new store."""
    made = Shared(tmp_path, open_objects(store.location()))
    yield made
    made.log.close()


def test_the_copy_grows_with_the_log(shared: Shared) -> None:
    """Small and large episodes and several segments can each be read at their own positions."""
    for number in range(12):
        shared.seal(f"e{number}", size=100 if number % 3 else PIECE_BYTES + 1000 * number)
        if number % 2:
            shared.exchange()
            assert shared.same()
    assert len(list((shared.learner / "episodes" / POLICY).glob("*.log"))) > 1


def test_only_pieces_that_changed_are_sent(shared: Shared) -> None:
    """Without a new episode nothing is sent, even by a new process. Otherwise the last piece is."""
    shared.seal("a", size=2 * PIECE_BYTES + 5)
    shared.exchange()
    before = dict(shared.client.entries("experience/episodes/"))
    assert len(before) == 3
    shared.outgoing.exchange()
    again = Outgoing(shared.server, shared.client)
    again.exchange()
    assert dict(shared.client.entries("experience/episodes/")) == before
    shared.seal("b")
    again.exchange()
    after = dict(shared.client.entries("experience/episodes/"))
    assert [key[-12:] for key in after if after[key] != before.get(key)] == [f"{2 * PIECE_BYTES:012d}"]


def test_what_is_deleted_is_deleted_in_the_store_and_in_the_copy(shared: Shared) -> None:
    """No object and no file has the episode's bytes. Other episodes keep their positions."""
    for name in ("first", "second", "third"):
        shared.seal(name, size=1000)
    shared.exchange()
    assert shared.log.delete(lambda episode: episode.subject == "second") == 1
    shared.exchange()
    assert shared.same()
    assert [each.episode.episode_id for each in read_sealed(shared.learner / "episodes" / POLICY)] == [
        "first",
        "third",
    ]
    for key, _ in shared.client.entries("experience/episodes/"):
        found = shared.client.get(key, PIECE_BYTES)
        assert found is not None
        assert b"second" not in found.content


def test_forgotten_observations_and_expired_segments_go_too(shared: Shared) -> None:
    """The store gets the zeros, and loses the objects of segments that retention removed."""
    for number in range(4):
        shared.seal(f"e{number}", size=2 * PIECE_BYTES)
    shared.exchange()
    shared.log.forget_observations(Position(), Position(1, 1 << 30))
    shared.exchange()
    assert shared.same()
    first = next(read_sealed(shared.learner / "episodes" / POLICY))
    assert not first.observed
    assert not any(first.episode.steps[0].observation)
    assert shared.log.expire(-60)
    shared.exchange()
    assert shared.same()
    assert not list(shared.client.entries(f"experience/episodes/{POLICY}/00000001/"))


def test_a_learner_gets_only_what_it_has_not_read(shared: Shared) -> None:
    """Segments before the learner's position are neither fetched nor kept."""
    for number in range(4):
        shared.seal(f"e{number}", size=2 * PIECE_BYTES)
    shared.exchange(segment=2)
    folder = shared.learner / "episodes" / POLICY
    assert min(path.stem for path in folder.glob("*.log")) == "00000002"
    position = Position(2)
    expected = list(read_sealed(shared.server / "episodes" / POLICY, position))
    assert list(read_sealed(folder, position)) == expected


def test_rules_go_to_the_learner_and_what_was_learned_comes_back(shared: Shared) -> None:
    """Later changes arrive, too. A learner on another machine begins after what was learned."""
    config = pb.ExperienceConfig(mode=pb.ExperienceConfig.LEARN, max_version_lag=3)
    request = pb.SetExperienceConfigRequest(policy=POLICY, config=config, actor="me")
    ExperienceConfigs(shared.server).change(request)
    shared.seal("a")
    shared.exchange()
    assert ExperienceConfigs(shared.learner).read(POLICY).config == config
    for steps in (5, 9):
        write_learned(shared.learner, POLICY, Learned(Position(1, steps), 1, steps))
        shared.incoming.tell()
        shared.outgoing.exchange()
        assert read_learned(shared.server, POLICY).steps == steps
    elsewhere = shared.server.parent / "elsewhere"
    Incoming(elsewhere, POLICY, shared.client).update_small()
    assert read_learned(elsewhere, POLICY).position == Position(1, 9)


def test_two_servers_do_not_record_into_one_store(shared: Shared, tmp_path: Path) -> None:
    """The second server is refused, whatever it has. The first goes on after a restart."""
    shared.seal("a")
    shared.exchange()
    other = tmp_path / "other"
    SealedLog(other / "episodes" / POLICY).close()
    with pytest.raises(FailedPrecondition) as raised:
        Outgoing(other, shared.client).exchange()
    assert raised.value.reason == "OTHER_WRITER"
    Outgoing(shared.server, shared.client).exchange()


def test_a_copy_is_whole_while_the_log_grows(shared: Shared) -> None:
    """At any time the learner reads a beginning of what was sealed."""
    done = threading.Event()

    def serve() -> None:
        for number in range(60):
            shared.seal(f"e{number}", size=20_000)
            shared.outgoing.exchange()
        done.set()

    serving = threading.Thread(target=serve)
    serving.start()
    lengths = []
    while not done.is_set():
        shared.incoming.update(1)
        names = [each.episode.episode_id for each in read_sealed(shared.learner / "episodes" / POLICY)]
        assert names == [f"e{number}" for number in range(len(names))]
        lengths.append(len(names))
    serving.join()
    assert lengths == sorted(lengths)
    shared.incoming.update(1)
    assert shared.same()


def test_a_segment_that_grows_while_it_is_read_keeps_its_offsets(tmp_path: Path) -> None:
    """What is appended between two pieces does not become a piece at a wrong offset."""
    path = tmp_path / "00000001.log"
    path.write_bytes(b"a" * (PIECE_BYTES + 10))
    reading = pieces(path, 0)
    found = [next(reading), next(reading)]
    with path.open("ab") as file:
        file.write(b"b" * 20)
    found += reading
    assert [(number, len(piece)) for number, piece in found] == [(0, PIECE_BYTES), (1, 10)]
    assert [(number, len(piece)) for number, piece in pieces(path, 1)] == [(1, 30)]


def test_a_change_within_the_same_tick_of_the_clock_is_seen(shared: Shared) -> None:
    """The change is seen even if the file has the same modification time, to the nanosecond."""
    tick = time.time_ns() + 60_000_000_000  # in the future, so that it stays recent on a slow machine
    for name in ("a", "b"):
        shared.seal(name)
        (path,) = (shared.server / "episodes" / POLICY).glob("*.log")
        os.utime(path, ns=(tick, tick))
        shared.exchange()
        assert shared.same()
