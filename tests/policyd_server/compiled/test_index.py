"""The compiled index enters decisions into book and journal as the recorder does one by one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.book import Book, EpisodeKey, Place
from policyd.experience.journal import DECISION
from policyd.experience.recorder import Recorder
from policyd.experience.sealed import read_sealed
from policyd.experience.segments import frame
from policyd_server import compiled
from policyd_server.experience.wire import joined
from tests.policyd_server.compiled.needed import needs_compiler

if compiled.AVAILABLE:
    from policyd_server.compiled.index import take

pytestmark = needs_compiler

# What is compared need not be durable: in memory an fsync takes no time, and there are thousands.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

records = st.builds(
    pb.DecisionRecord,
    policy=st.sampled_from(["a", "b", "off", "ö"]),
    episode_id=st.sampled_from(["e", "f", "ünï", "sealed"]),
    agent_id=st.sampled_from(["", "left"]),
    subject=st.text(max_size=5),
    caller=st.text(max_size=5),
    step=st.builds(
        pb.RecordedStep,
        step=st.integers(0, 5) | st.integers(0, 2**63 - 1),
        version=st.integers(0, 3),
        observation=st.binary(max_size=40),
        log_prob=st.floats(-5, 0, width=32),
    ),
)


def recorded(policy: str) -> bool:
    """Policies that record."""
    return policy != "off"


def outcomes_of(recorder: Recorder) -> None:
    """Seals one episode and gives one step an outcome. Later decisions of both do not count."""
    for name, end in (("sealed", pb.TERMINATED), ("e", pb.GOES_ON)):
        step = pb.RecordedStep(step=0)
        recorder.decide(pb.DecisionRecord(policy="a", episode_id=name, step=step))
        recorder.report("a", "", [pb.Outcome(episode_id=name, step=0, end=end)])
    recorder.commit()


@settings(max_examples=150, deadline=None)
@given(st.lists(records, max_size=20), st.integers(1, 5))
def test_it_is_the_same_as_one_by_one(decisions: list[pb.DecisionRecord], size: int) -> None:
    """Open and sealed episodes, and what a recorder that starts again finds, are the same."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        one, many = Recorder(Path(folder) / "one"), Recorder(Path(folder) / "many")
        for recorder in (one, many):
            outcomes_of(recorder)
        for record in decisions:
            if recorded(record.policy):
                one.decide(record, now=5.0)
        for begin in range(0, len(decisions), size):
            body = joined(each.SerializeToString() for each in decisions[begin : begin + size])
            many.take(body, take, recorded)
        for recorder in (one, many):
            recorder.commit()
        assert contents(one.book) == contents(many.book)
        one.close()
        many.close()
        again = [Recorder(Path(folder) / name) for name in ("one", "many")]
        assert contents(again[0].book) == contents(again[1].book)
        assert sealed(again[0]) == sealed(again[1])
        for recorder in again:
            recorder.close()


def contents(book: Book) -> list[object]:
    """The open episodes without their times."""
    return [
        (key, each.subject, each.caller, sorted(each.places), each.parts, each.segments)
        for key, each in book.episodes.items()
    ]


def sealed(recorder: Recorder) -> list[pb.Episode]:
    """Every episode, sealed now. Each step is read from its place in the journal."""
    episodes = []
    for policy in ("a", "b", "ö"):
        recorder.seal_silent(policy, 0.0)
        episodes += [each.episode for each in read_sealed(recorder.log(policy).folder)]
    for episode in episodes:
        episode.ClearField("seal_time")
    return episodes


def test_many_episodes_at_once_are_kept_apart() -> None:
    """More than it knows at a time, with names that begin alike, and some of them sealed."""
    own, other = Book(), Book()
    names = [f"{'e' * (number % 60)}{number}" for number in range(3000)]
    for book in (own, other):
        for name in names[::7]:
            book.seal(EpisodeKey("a", name, ""))
    decided = [
        pb.DecisionRecord(policy="a", episode_id=name, step=pb.RecordedStep(step=step))
        for step in range(3)
        for name in names
    ]
    framed, counts = take(
        joined(record.SerializeToString() for record in decided), own, Place(1, 7), recorded, 5.0
    )
    offset = 7
    for record in decided:
        key = EpisodeKey("a", record.episode_id, "")
        other.decide(key, record.step.step, Place(1, offset), "", "", 5.0)
        offset += len(frame(DECISION, record.SerializeToString()))
    assert (own.episodes, own.sealed) == (other.episodes, other.sealed)
    assert (len(framed), counts) == (offset - 7, {"a": len(decided)})


@pytest.mark.parametrize("damaged", [b"\1\0\0", b"\5\0\0\0abc", b"\2\0\0\0\x0a\x05", b"\2\0\0\0\xff\xff"])
def test_a_damaged_message_enters_nothing(damaged: bytes) -> None:
    """ValueError is raised, although the records before are valid."""
    book = Book()
    good = joined([pb.DecisionRecord(policy="a", episode_id="e").SerializeToString()])
    with pytest.raises(ValueError, match="DecisionRecord"):
        take(good + damaged, book, Place(1, 0), recorded, 0.0)
    assert not book.episodes
