"""Acting, reporting and deleting over the wire: what the server decided becomes sealed episodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import grpc
import numpy as np

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policyd.experience.learned import Learned, write_learned
from policyd.experience.sealed import Position
from policyd.repository import ModelRepository
from tests.contract.conftest import StartServer
from tests.contract.recording import World, observation, outcome


def test_an_episode_is_recorded_as_the_server_decided_it(world: World) -> None:
    """Observation, action, log-probability, version and seed are those of the responses."""
    episode = str(uuid.uuid4())
    answers = [world.act(episode, step) for step in range(3)]
    ends = (pb.GOES_ON, pb.GOES_ON, pb.TERMINATED)
    report = world.report(*(outcome(episode, step, end) for step, end in enumerate(ends)))
    assert (report.recorded, report.unknown_count) == (3, 0)
    [recorded] = world.sealed()
    assert (recorded.episode_id, recorded.subject, recorded.end) == (episode, world.subject, pb.TERMINATED)
    for step, (told, answer) in enumerate(zip(recorded.steps, answers, strict=True)):
        assert (told.step, told.version, told.reward, told.reported) == (step, 1, 1.0, True)
        assert told.observation == observation(step)
        assert told.action == answer.actions.raw
        assert told.log_prob == np.frombuffer(answer.log_probs.raw, "<f4")[0]
        assert told.seed == answer.seed


def test_a_retried_request_draws_the_same_action(world: World) -> None:
    """Without a seed in the request, the seed follows from the decision's name."""
    answers = [world.act("e", 0) for _ in range(5)]
    assert len({(answer.seed, answer.actions.raw) for answer in answers}) == 1
    assert world.act("e", 1).seed != answers[0].seed


def test_a_report_by_another_connection_finds_its_decision(
    start_server: StartServer, repository: ModelRepository
) -> None:
    """Two workers share one recorder.

    So each decision can be reported at once over another connection.
    """
    world = World(start_server("--workers", "2"), repository, "cartpole")
    options = (("grpc.use_local_subchannel_pool", 1),)
    for number in range(60):
        world.act(f"e{number}", 0)
        with grpc.insecure_channel(world.server.address, options) as channel:
            outcomes = [outcome(f"e{number}", 0, pb.TERMINATED)]
            request = pb.ReportOutcomesRequest(policy=world.policy, outcomes=outcomes)
            answer = ExperienceServiceStub(channel).ReportOutcomes(request, timeout=60)
        assert (answer.recorded, answer.unknown_count) == (1, 0)
    assert len(world.sealed()) == 60


def test_acting_and_reporting_in_one_message(world: World) -> None:
    """StreamEpisode reports the last step and asks for the next action in one message."""

    def messages() -> Iterator[pb.StreamEpisodeRequest]:
        yield pb.StreamEpisodeRequest(request=world.named("s", 0))
        yield pb.StreamEpisodeRequest(outcomes=[outcome("s", 0)], request=world.named("s", 1))
        yield pb.StreamEpisodeRequest(outcomes=[outcome("s", 1, pb.TERMINATED)])

    answers = list(world.experience.StreamEpisode(messages(), timeout=60))
    assert [answer.report.recorded for answer in answers] == [0, 1, 1]
    assert [bool(answer.response.batch_size) for answer in answers] == [True, True, False]
    assert [len(episode.steps) for episode in world.sealed()] == [2]


def test_what_jobs_learned_and_dropped_is_told(world: World) -> None:
    """GetExperience has the learner's figures: used, dropped by reason, and the lengths."""
    dropped = pb.DroppedEpisodes(reason="TOO_OLD", episodes=2, steps=7, lengths=[0, 1, 1])
    write_learned(world.root, world.policy, Learned(Position(1, 50), 30, 900, (dropped,)))
    found = world.experience.GetExperience(pb.GetExperienceRequest(policy=world.policy), timeout=60)
    assert (found.used_episodes, found.used_steps) == (30, 900)
    assert list(found.dropped) == [dropped]


def test_deleted_episodes_are_gone_from_every_file(world: World) -> None:
    """A subject's open and sealed episodes are deleted; no file has their observations."""
    for episode in ("open", "sealed"):
        world.act(episode, 7777)
        world.act(episode, 0)
    world.report(outcome("sealed", 0, pb.TERMINATED))
    request = pb.DeleteEpisodesRequest(policy=world.policy, subject=world.subject, reason="asked to")
    assert world.experience.DeleteEpisodes(request, timeout=60).episodes == 2
    files = list(world.root.rglob("*.log"))
    assert files
    for gone in (observation(7777), world.subject.encode()):
        assert not any(gone in path.read_bytes() for path in files)
    assert world.sealed() == []


def test_counts(world: World) -> None:
    """Counts open and sealed episodes, decisions and mean return by version and by caller."""
    for episode in ("a", "b"):
        world.act(episode, 0)
    world.report(outcome("a", 0, pb.TERMINATED, reward=0.5))
    answer = world.experience.GetExperience(pb.GetExperienceRequest(policy=world.policy), timeout=60)
    assert (answer.open_episodes, answer.open_steps, answer.generation) == (1, 1, 1)
    [count] = answer.by_version
    assert (count.key, count.decisions, count.sealed_episodes, count.mean_return) == ("1", 1, 1, 0.5)
    assert [change.actor for change in answer.history] == ["test"]
    assert answer.disk_bytes > 0
