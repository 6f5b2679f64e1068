"""A bad network gives the same batch as a clean one, byte for byte, but for what never came.

Two servers have the same untrained version and the same episodes: names, worlds and seeds are
equal, so both draw the same actions. Reports to one come at once. Those to the other come late, in
any order and some twice, and some clients vanish in the midst of an episode.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.live.players import CLIENTS, Misbehaviour, Players
from benchmarks.live.running import learning
from benchmarks.live.worlds import Task
from examples.stack import Stack, StackSettings
from policy_api.v1.experience_pb2 import ExperienceConfig
from policyd import PolicyClient
from policyd.experience.sealed import read_sealed
from policyd.repository import ModelRepository
from policyd_trainer.experience.batches import rollout_of
from policyd_trainer.experience.learning import config_of
from policyd_trainer.experience.sequences import Sequence, sequence_of
from policyd_trainer.experience.spaces import Spaces, spaces_of

#: A silent episode is cut so many seconds after the latest report, which a busy machine keeps, too.
SPARE = 120


@dataclass
class Compared:
    """How the two logs differ."""

    episodes: int  # episodes that were played
    vanished: int
    repeated: int  # outcomes that were sent again
    whole: int  # episodes that both logs hold to their end
    cut: int  # episodes of which the bad network's log has only the beginning
    nothing: int  # episodes of which that log has nothing to learn from
    different: int  # episodes with different bytes; beginnings are compared with beginnings
    same_batch: bool  # whether the rollouts of the whole episodes are equal, byte for byte
    seconds: float = 0.0


def compare(task: Task, seed: int, folder: Path, bad: Misbehaviour, episodes: int) -> Compared:
    """Plays the same episodes twice and compares what was sealed."""
    began = time.monotonic()
    with learning(task, seed, folder / "begin"):
        pass
    logs = {}
    tallies = {}
    for name, network in (("clean", Misbehaviour()), ("bad", bad)):
        shutil.copytree(folder / "begin" / "repository", folder / name / "repository")
        shutil.rmtree(folder / name / "repository" / "experience", ignore_errors=True)
        tallies[name] = _play(task, seed, folder / name, network, episodes)
        logs[name] = sequences(task, folder / name / "repository")
    found = _compared(logs["clean"], logs["bad"], episodes)
    found.vanished, found.repeated = tallies["bad"].tally.vanished, tallies["bad"].tally.repeated
    found.seconds = time.monotonic() - began
    return found


def _play(task: Task, seed: int, folder: Path, bad: Misbehaviour, episodes: int) -> Players:
    """Plays against a server that records, until every episode is sealed."""
    settings = StackSettings(folder, variables={"POLICYD_WORKERS": "1"})
    with Stack(settings) as stack, PolicyClient(stack.server_address) as client:
        config = ExperienceConfig(mode=ExperienceConfig.RECORD)
        silence = int(bad.late) + SPARE
        config.silence.FromSeconds(silence)
        client.set_experience_config(task.name, config)
        players = Players(stack.server_address, task, seed, bad)
        asyncio.run(players.play(CLIENTS, lambda: False, episodes))
        ends = time.monotonic() + silence + SPARE
        while client.get_experience(task.name).open_episodes:
            assert time.monotonic() < ends, "episodes stay open"
            time.sleep(0.2)
    return players


def sequences(task: Task, repository: Path) -> dict[str, Sequence | None]:
    """What can be learned from each sealed episode, by its name."""
    version = ModelRepository(repository).read(task.name, 1)
    spaces: Spaces = spaces_of(version.metadata, config_of(version.metadata, {}))
    log = read_sealed(repository / "experience" / "episodes" / task.name)
    return {each.episode.episode_id: sequence_of(each.episode, spaces.encoder, spaces.codec) for each in log}


def _compared(clean: dict[str, Sequence | None], bad: dict[str, Sequence | None], episodes: int) -> Compared:
    found = Compared(episodes, 0, 0, 0, 0, 0, 0, same_batch=False)
    whole: list[str] = []
    for name, right in sorted(clean.items()):
        other = bad.get(name)
        if right is None or other is None:
            found.nothing += 1
            continue
        found.different += not _is_beginning(other, right)
        if len(other) == len(right):
            whole.append(name)
        else:
            found.cut += 1
    found.whole = len(whole)
    found.same_batch = bool(whole) and _bytes(clean, whole) == _bytes(bad, whole)
    return found


def _is_beginning(part: Sequence, whole: Sequence) -> bool:
    """Whether `part` is the beginning of `whole`, byte for byte, with the right successor."""
    k = len(part)
    columns = ("observations", "actions", "log_probs", "rewards", "versions")
    same = all(getattr(part, name).tobytes() == getattr(whole, name)[:k].tobytes() for name in columns)
    following = whole.observations[k] if k < len(whole) else whole.final_observation
    if part.final_observation is None or following is None:
        return same and part.terminated == whole.terminated and k == len(whole)
    return same and part.final_observation.tobytes() == np.asarray(following, "<f4").tobytes()


def _bytes(log: dict[str, Sequence | None], names: list[str]) -> list[bytes]:
    """The bytes of every array of the batch of these episodes."""
    rollout = rollout_of([sequence for name in names if (sequence := log[name]) is not None])
    log_probs = [sequence.log_probs for name in names if (sequence := log[name]) is not None]
    arrays = [value for value in vars(rollout).values() if isinstance(value, np.ndarray)]
    return [array.tobytes() for array in (*arrays, *log_probs)]
