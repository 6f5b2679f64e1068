"""Acting, reporting and deleting over the wire: what the server decided becomes sealed episodes."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1 import policy_pb2
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policyd import AsyncPolicyClient, PolicyClient
from policyd.cli.app import run
from policyd.errors import Exhausted, FailedPrecondition, InvalidArgument, PolicydError
from policyd.experience.learned import Learned, write_learned
from policyd.experience.sealed import Position, read_sealed
from policyd.repository import ModelRepository
from policyd.runtime.status import from_rpc_error
from tests.contract.conftest import ServerProcess, StartServer
from tests.policyd_server import artifacts
from tests.policyd_server.process import TRANSPORTS
from tests.waiting import until


class World:
    """One policy of a server that records, and its client."""

    def __init__(self, server: ServerProcess, repository: ModelRepository, policy: str) -> None:
        self.server = server
        self.policy = policy
        self.subject = f"someone of {policy}"
        self.experience = ExperienceServiceStub(server.channel)
        self.root = repository.root / "experience"
        published = artifacts.metadata(policy)
        repository.publish(policy, {"model.onnx": artifacts.model(published, seed=1)}, metadata=published)
        repository.set_alias(policy, "champion", 1, actor="test", reason="test")
        self.configure()

    def configure(self, mode: pb.ExperienceConfig.Mode.ValueType = pb.ExperienceConfig.RECORD) -> None:
        """Sets the policy's mode, and a reward range of -1 to 1."""
        config = pb.ExperienceConfig(mode=mode, reward_low=-1, reward_high=1)
        request = pb.SetExperienceConfigRequest(policy=self.policy, config=config, actor="test")
        self.experience.SetExperienceConfig(request, timeout=60)

    def act(self, episode: str, step: int, **more: object) -> policy_pb2.ActResponse:
        """Asks for one action."""
        return self.server.policy.Act(self.named(episode, step, **more), timeout=60)

    def named(self, episode: str, step: int, **more: object) -> policy_pb2.ActRequest:
        """The request for one action."""
        decision = policy_pb2.Decision(episode_id=episode, step=step, subject=self.subject)
        return policy_pb2.ActRequest(
            policy=self.policy,
            observations=policy_pb2.FloatArray(raw=observation(step)),
            decisions=[decision],
            **more,  # type: ignore[arg-type]  # the callers' words
        )

    def report(self, *outcomes: pb.Outcome) -> pb.ReportOutcomesResponse:
        """Reports outcomes."""
        request = pb.ReportOutcomesRequest(policy=self.policy, outcomes=outcomes)
        return self.experience.ReportOutcomes(request, timeout=60)

    def sealed(self) -> list[pb.Episode]:
        """The sealed episodes, as a learner reads them."""
        return [each.episode for each in read_sealed(self.root / "episodes" / self.policy)]

    def recorder(self) -> int:
        """The recorder's process id."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (folder / "cmdline").exists():
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"policyd_server.experience.process" in words and str(self.root).encode() in words:
                    return int(folder.name)
        raise AssertionError("no recorder runs")


def observation(step: int) -> bytes:
    return np.array([step / 100, 0, 0.01, 0], "<f4").tobytes()


def outcome(episode: str, step: int, end: pb.End.ValueType = pb.GOES_ON, reward: float = 1) -> pb.Outcome:
    return pb.Outcome(episode_id=episode, step=step, reward=reward, end=end)


@pytest.fixture(scope="module", params=TRANSPORTS)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, ModelRepository]]:
    """One server for all tests. Each test has a policy of its own."""
    folder = tmp_path_factory.mktemp("experience")
    repository = ModelRepository(folder / "repository")
    server = ServerProcess(folder, repository.root, "--transport", request.param)
    yield server, repository
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.fixture
def world(shared: tuple[ServerProcess, ModelRepository], request: pytest.FixtureRequest) -> World:
    server, repository = shared
    return World(server, repository, f"p{len(repository.policies())}")


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


NOT_A_NUMBER = np.array([0, 0, np.nan, 0], "<f4").tobytes()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (pb.Outcome(episode_id="", step=0), "outcomes[0].episode_id"),
        (pb.Outcome(episode_id="e" * 65, step=0), "outcomes[0].episode_id"),
        (pb.Outcome(episode_id="e", step=-1), "outcomes[0].step"),
        (pb.Outcome(episode_id="e", reward=1.5), "outcomes[0].reward"),
        (pb.Outcome(episode_id="e", reward=float("nan")), "outcomes[0].reward"),
        (pb.Outcome(episode_id="e", end=pb.TRUNCATED), "outcomes[0].final_observation"),
        (pb.Outcome(episode_id="e", final_observation=b"x"), "outcomes[0].final_observation"),
        (
            pb.Outcome(episode_id="e", end=pb.TRUNCATED, final_observation=b"abc"),
            "outcomes[0].final_observation",
        ),
        (
            pb.Outcome(episode_id="e", end=pb.TRUNCATED, final_observation=NOT_A_NUMBER),
            "outcomes[0].final_observation",
        ),
    ],
)
def test_a_wrong_outcome_is_named(world: World, wrong: pb.Outcome, field: str) -> None:
    """INVALID_ARGUMENT names the field, and nothing of the request is recorded."""
    world.act("good", 0)
    with pytest.raises(grpc.RpcError) as caught:
        world.report(wrong, outcome("good", 0, pb.TERMINATED))
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert field in [violation.field for violation in error.violations]
    assert world.sealed() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"deterministic": True}, "deterministic"),
        ({"decisions": []}, ""),
        ({"decisions": [policy_pb2.Decision(episode_id="e"), policy_pb2.Decision()]}, "decisions"),
        ({"decisions": [policy_pb2.Decision()]}, "decisions[0].episode_id"),
        ({"decisions": [policy_pb2.Decision(episode_id="e", step=-2)]}, "decisions[0].step"),
    ],
)
def test_a_wrong_name_is_refused(world: World, change: dict[str, object], field: str) -> None:
    """The violation names the field. A request without names gets a response as before."""
    request = world.named("e", 0)
    for name, value in change.items():
        request.ClearField(name)  # type: ignore[arg-type]
        if isinstance(value, list):
            request.decisions.extend(value)
        else:
            request.deterministic = bool(value)
    if not field:
        assert world.server.policy.Act(request, timeout=60).batch_size == 1
        return
    with pytest.raises(grpc.RpcError) as caught:
        world.server.policy.Act(request, timeout=60)
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == field


def test_a_policy_that_is_off_records_nothing(world: World) -> None:
    """With mode OFF acting goes on, and reporting gives EXPERIENCE_OFF."""
    world.configure(pb.ExperienceConfig.OFF)
    world.act("e", 0)
    with pytest.raises(grpc.RpcError) as caught:
        world.report(outcome("e", 0))
    error: PolicydError = from_rpc_error(caught.value)
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "EXPERIENCE_OFF"


def test_a_killed_recorder_comes_back_with_everything_acknowledged(world: World) -> None:
    """The recorder is killed with kill -9 between the reports of one episode.

    The client repeats its call, and nothing counts twice.
    """
    for step in range(6):
        world.act("e", step)
        end = pb.TERMINATED if step == 5 else pb.GOES_ON
        assert world.report(outcome("e", step, end)).recorded == 1
        if step in (1, 3):
            os.kill(world.recorder(), signal.SIGKILL)
            _until_answered(world, step)
    [episode] = world.sealed()
    assert [(step.step, step.reward) for step in episode.steps] == [(step, 1.0) for step in range(6)]


def _until_answered(world: World, step: int) -> None:
    """Repeats a report that is known, as a client does while the recorder is away."""

    def is_answered() -> bool:
        try:
            assert world.report(outcome("e", step)).repeated == 1
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
            return False  # RetryInfo says a second; the test need not wait as long
        return True

    until(is_answered, lambda: "the recorder did not come back")


def test_a_full_disk_stops_reports_and_not_acting(world: World) -> None:
    """RetryInfo says when to try again. Decisions that were lost meanwhile are counted."""
    world.act("e", 0)
    world.report(outcome("e", 0))
    pid = world.recorder()
    size = max(path.stat().st_size for path in (world.root / "journal").glob("*.log"))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        assert world.act("e", 1).batch_size == 1
        with pytest.raises(grpc.RpcError) as caught:
            world.report(outcome("e", 0))
        error = from_rpc_error(caught.value)
        assert isinstance(error, Exhausted)
        assert error.reason == "DISK_FULL"
        assert 0 < error.retry_after < 30
        assert world.act("e", 1).batch_size == 1
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    _until_answered(world, 0)
    world.act("e", 1)
    assert world.report(outcome("e", 1, pb.TERMINATED)).recorded == 1
    [episode] = world.sealed()
    assert [step.step for step in episode.steps] == [0, 1]
    found = world.experience.GetExperience(pb.GetExperienceRequest(policy=world.policy), timeout=60)
    assert [(each.reason, each.steps > 0) for each in found.dropped] == [("DISK_FULL", True)]


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


def test_a_gymnasium_loop_with_the_client(world: World) -> None:
    """An episode of 40 steps is played with `client.episode`.

    It is reported in two calls, and sealed as it was played.
    """
    with (
        PolicyClient(world.server.address, timeout=60) as client,
        client.episode(world.policy, subject="me") as episode,
    ):
        for step in range(40):
            action = episode.act([step / 100, 0.0, 0.01, 0.0])
            assert action in (0, 1)
            episode.reward(0.5, terminated=step == 39)
    [recorded] = world.sealed()
    assert (recorded.episode_id, recorded.subject) == (episode.episode_id, "me")
    assert [step.reward for step in recorded.steps] == [0.5] * 40
    assert recorded.end == pb.TERMINATED


def test_an_episode_that_its_caller_leaves_is_given_up(world: World) -> None:
    """The last decision has no reward, so the episode ends there as ABANDONED."""
    with PolicyClient(world.server.address, timeout=60) as client, client.episode(world.policy) as episode:
        episode.act([0.0, 0.0, 0.01, 0.0])
        episode.reward(1)
        episode.act([0.0, 0.0, 0.02, 0.0])
    [recorded] = world.sealed()
    assert recorded.end == pb.ABANDONED
    assert [step.reward for step in recorded.steps] == [1, 0]


def test_the_clients_buffer_survives_a_killed_recorder(world: World) -> None:
    """The client repeats waiting outcomes until the recorder is back.

    Nothing is lost or counted twice.
    """
    with PolicyClient(world.server.address, timeout=60) as client, client.episode(world.policy) as episode:
        for step in range(70):
            episode.act([step / 100, 0.0, 0.01, 0.0])
            if step in (20, 50):
                episode.flush()
                os.kill(world.recorder(), signal.SIGKILL)
            episode.reward(1, terminated=step == 69)
    [recorded] = world.sealed()
    assert [step.reward for step in recorded.steps] == [1.0] * 70


def test_the_client_says_what_is_wrong(world: World) -> None:
    """The client refuses wrong use.

    That is a reward before the first act, a truncation without an observation, and acting after the
    end.
    """
    with PolicyClient(world.server.address, timeout=60) as client:
        episode = client.episode(world.policy)
        with pytest.raises(FailedPrecondition, match="before the first act"):
            episode.reward(1)
        episode.act([0.0, 0.0, 0.01, 0.0])
        with pytest.raises(InvalidArgument, match="observation"):
            episode.reward(1, truncated=True)
        with pytest.raises(InvalidArgument, match="reward"):
            episode.reward("much")  # type: ignore[arg-type]  # the mistake
        episode.reward(1, truncated=True, observation=[0, 0, 0, 0])
        with pytest.raises(FailedPrecondition, match="has ended"):
            episode.act([0.0, 0.0, 0.01, 0.0])


def test_the_clients_episode_on_an_event_loop(world: World) -> None:
    """AsyncEpisode plays and reports like Episode."""

    async def play() -> None:
        async with (
            AsyncPolicyClient(world.server.address, timeout=60) as client,
            client.episode(world.policy, agent_id="left") as episode,
        ):
            for step in range(3):
                await episode.act([step / 100, 0.0, 0.01, 0.0])
                await episode.reward(step / 10, terminated=step == 2)

    asyncio.run(play())
    [recorded] = world.sealed()
    assert (recorded.agent_id, len(recorded.steps)) == ("left", 3)


def test_the_command_sets_shows_and_deletes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """`policyctl experience` changes one field and keeps the others. It deletes by subject."""

    def policyctl(*arguments: str) -> str:
        assert run(["--server", world.server.address, "experience", *arguments]) == 0
        return capsys.readouterr().out

    world.act("e", 0)
    world.report(outcome("e", 0, pb.TERMINATED))
    assert "generation 2: LEARN" in policyctl(
        "set", "--policy", world.policy, "--mode", "learn", "--silence", "1m"
    )
    shown = json.loads(policyctl("status", "--policy", world.policy, "--json"))
    assert (shown["config"]["reward_high"], shown["config"]["silence"]) == (1, 60)
    assert "MEAN RETURN" in policyctl("status", "--policy", world.policy)
    assert policyctl("delete", "--policy", world.policy, "--subject", world.subject) == "deleted 1 episode\n"


def test_episodes_go_out_as_files(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`policyctl experience export` writes both formats, and the audit log has the export."""
    world.act("e", 0)
    world.report(outcome("e", 0, pb.TERMINATED))
    for name, magic in (("episodes.parquet", b"PAR1"), ("episodes.tar", b"policyd/")):
        file = tmp_path / name
        words = ["experience", "export", "--policy", world.policy, str(file)]
        assert run(["--server", world.server.address, *words]) == 0
        assert file.read_bytes().startswith(magic)
        assert capsys.readouterr().out.startswith(f"wrote {file}")
    assert list(tmp_path.glob("*.partial")) == []
    lines = [line for line in world.server.log.splitlines() if "ExportEpisodes" in line]
    assert sum(f"policy={world.policy}" in line and "code=OK" in line for line in lines) == 2


def test_play_reports_what_it_plays(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """With `policyctl play --report` the episodes are sealed with the returns that it prints."""
    words = ["--policy", world.policy, "--version", "1", "--env", "CartPole-v1", "--episodes", "2"]
    assert run(["--server", world.server.address, "--json", "play", "--report", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    returns = [sum(step.reward for step in episode.steps) for episode in world.sealed()]
    assert len(returns) == 2
    assert sum(returns) / 2 == told["mean_return"]
    assert told["reported"] is True
