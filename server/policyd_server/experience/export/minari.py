"""Episodes as a data set of Minari: `main_data.hdf5` and `metadata.json` in a tar file.

The format is that of Minari 0.5 (https://minari.farama.org). What is learned from is what is
exported: of each episode the longest beginning without a hole.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.artifact_pb2 import PolicyMetadata, Space
from policyd.errors import FailedPrecondition
from policyd.sampling import box_action
from policyd.spaces import row_shape
from policyd.temporary import TemporaryFolder
from policyd_server.experience.export.chunks import CHUNK_BYTES

MINARI_VERSION = "0.5.4"


def minari(policy: str, episodes: Iterable[pb.Episode], metadata: PolicyMetadata) -> Iterator[bytes]:
    """Yields the bytes of the tar file. `metadata`: of a version of the policy, for its spaces.

    HDF5 cannot be written in one pass, so the data set is first written into a temporary folder.
    """
    with TemporaryFolder("exports") as folder:
        data = folder.path / "main_data.hdf5"
        totals = _write(data, episodes, metadata)
        about = folder.path / "metadata.json"
        about.write_text(json.dumps(_about(policy, metadata, totals, data.stat().st_size)))
        yield from _tar({f"policyd/{policy}-v0/data/{path.name}": path for path in (about, data)})


def _write(path: Path, episodes: Iterable[pb.Episode], metadata: PolicyMetadata) -> tuple[int, int]:
    """Writes the episodes; returns how many, and their steps."""
    count = steps = 0
    with h5py.File(path, "w", track_order=True) as file:
        for episode in episodes:
            arrays = _arrays(episode, metadata)
            if arrays is None:
                continue
            group = file.create_group(f"episode_{count}")
            for name, array in arrays.items():
                group.create_dataset(name, data=array)
            length = len(arrays["rewards"])
            group.attrs.update({"id": count, "total_steps": length})
            group.attrs.update({"episode_id": episode.episode_id, "agent_id": episode.agent_id})
            group.attrs["versions"] = [step.version for step in episode.steps[:length]]
            count, steps = count + 1, steps + length
    return count, steps


def _arrays(episode: pb.Episode, metadata: PolicyMetadata) -> dict[str, np.ndarray] | None:
    """Returns the episode's arrays [T, ...], observations [T + 1, ...].

    None: it has no step to learn from. If the observation after the last step is not known, the
    last one is repeated.
    """
    steps = _prefix(episode)
    whole = len(steps) == len(episode.steps)
    if not steps:
        return None
    following = episode.final_observation if whole else episode.steps[len(steps)].observation
    rows = [step.observation for step in steps] + [following or steps[-1].observation]
    if len({len(row) for row in rows}) != 1:  # some steps are by a version with other spaces
        return None
    try:
        observations = _observations(rows, metadata.observation_space)
        actions = np.stack([_action(step, metadata) for step in steps])
    except ValueError as error:
        raise _other_spaces(episode) from error
    ended = np.zeros((2, len(steps)), bool)  # terminated, truncated
    ended[0 if whole and episode.end == pb.TERMINATED else 1, -1] = True
    return {
        "observations": observations,
        "actions": actions,
        "rewards": np.array([step.reward for step in steps]),
        "terminations": ended[0],
        "truncations": ended[1],
    }


def _observations(rows: list[bytes], space: Space) -> np.ndarray:
    """Returns the observations [len(rows), ...]. ValueError: they are not of this space."""
    numbers = np.frombuffer(b"".join(rows), "<f4")
    if space.WhichOneof("kind") == "box":
        return numbers.reshape(len(rows), *space.box.shape).astype(space.box.dtype)
    return numbers.reshape(len(rows), *row_shape(space))


def _other_spaces(episode: pb.Episode) -> FailedPrecondition:
    """A data set of Minari has one observation space and one action space."""
    versions = ", ".join(str(version) for version in sorted({step.version for step in episode.steps}))
    message = (
        f"episode {episode.episode_id!r} (version {versions}) has other spaces than the version that"
        " describes the data set: export the episodes of one version (--version)"
    )
    return FailedPrecondition(message, reason="OTHER_SPACES")


def _prefix(episode: pb.Episode) -> list[pb.RecordedStep]:
    """Returns the steps 0, 1, 2, ... up to the first one without an outcome."""
    steps = []
    for number, step in enumerate(episode.steps):
        if step.step != number or not step.reported:
            break
        steps.append(step)
    return steps


def _action(step: pb.RecordedStep, metadata: PolicyMetadata) -> np.ndarray:
    """Returns the action as the environment received it."""
    space = metadata.action_space
    kind = space.WhichOneof("kind")
    if kind == "box":
        u = np.frombuffer(step.action, "<f4").tolist()
        played = np.array(box_action(metadata.distribution.gaussian, u))
        return played.reshape(tuple(space.box.shape)).astype(space.box.dtype)
    action = np.frombuffer(step.action, "<i8")
    if kind == "discrete":
        return np.asarray(action[0] + space.discrete.start)
    if kind == "multi_discrete":
        start = np.array(space.multi_discrete.start or [0] * action.size)
        shifted: np.ndarray = action + start
        return shifted.reshape(tuple(space.multi_discrete.shape))
    return action.reshape(tuple(space.multi_binary.shape)).astype(np.int8)


def _about(policy: str, metadata: PolicyMetadata, totals: tuple[int, int], size: int) -> dict[str, Any]:
    return {
        "dataset_id": f"policyd/{policy}-v0",
        "minari_version": MINARI_VERSION,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "total_episodes": totals[0],
        "total_steps": totals[1],
        "dataset_size": round(size / 1e6, 1),
        "observation_space": json.dumps(_observed(metadata.observation_space)),
        "action_space": json.dumps(_described(metadata.action_space)),
        "description": f"Episodes of clients of the policy {policy}, recorded by policyd.",
    }


def _observed(space: Space) -> dict[str, Any]:
    """Returns the observation space. A space that is no Box is described as one of rows."""
    if space.WhichOneof("kind") == "box":
        return _described(space)
    (size,) = row_shape(space)
    bounds = {"low": [-np.inf] * size, "high": [np.inf] * size}
    return {"type": "Box", "dtype": "float32", "shape": [size], **bounds}


def _described(space: Space) -> dict[str, Any]:
    """Returns the space as Minari describes it."""
    kind = space.WhichOneof("kind")
    if kind == "box":
        box = space.box
        bounds = {
            name: np.broadcast_to(np.array(bound, box.dtype), np.prod(box.shape, dtype=int))
            .reshape(tuple(box.shape))
            .tolist()
            for name, bound in (("low", box.low), ("high", box.high))
        }
        return {"type": "Box", "dtype": box.dtype, "shape": list(box.shape), **bounds}
    if kind == "discrete":
        return {"type": "Discrete", "dtype": "int64", "start": space.discrete.start, "n": space.discrete.n}
    if kind == "multi_discrete":
        branches = space.multi_discrete
        nvec = np.array(branches.nvec).reshape(tuple(branches.shape))
        start = np.array(branches.start or [0] * nvec.size).reshape(nvec.shape)
        described = {"nvec": nvec.tolist(), "start": start.tolist()}
        return {"type": "MultiDiscrete", "dtype": "int64", **described}
    return {"type": "MultiBinary", "n": list(space.multi_binary.shape)}


def _tar(files: dict[str, Path]) -> Iterator[bytes]:
    """Yields the bytes of a tar file with these files, by their names in it."""
    for name, path in files.items():
        info = tarfile.TarInfo(name)
        info.size = path.stat().st_size
        yield info.tobuf(tarfile.PAX_FORMAT)
        with path.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield data
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
