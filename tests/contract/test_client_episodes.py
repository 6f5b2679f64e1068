"""Episodes that are played and managed with the client and with policyctl."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd import AsyncPolicyClient, PolicyClient
from policyd.cli.app import run
from policyd.errors import FailedPrecondition, InvalidArgument
from tests.contract.recording import World, outcome


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
