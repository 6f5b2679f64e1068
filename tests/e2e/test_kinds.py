"""policyctl and PolicyClient with every kind of action, against a real server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from examples.stack.processes import ServiceProcess
from policyd import PolicyClient, spaces
from policyd.cli.app import run
from policyd.cli.episodes import EpisodePlan, play
from policyd.cli.exits import Exit
from policyd.client.acting import ActCodec
from policyd.errors import InvalidArgument
from policyd.repository import ModelRepository
from tests.policyd_server.artifacts import model
from tests.policyd_server.kinds import ACTIONS, OBSERVATIONS, metadata

GYM = {
    "discrete": gym.spaces.Discrete(3, start=5),
    "multi_discrete": gym.spaces.MultiDiscrete([2, 3, 4]),
    "multi_binary": gym.spaces.MultiBinary(4),
    "squashed": gym.spaces.Box(np.array([-2, 0], np.float32), np.array([2, 5], np.float32)),
    "clipped": gym.spaces.Box(np.array([[-0.1, -np.inf]]), np.array([[0.1, np.inf]]), dtype=np.float64),
}
SHAPES = {"discrete": (), "multi_discrete": (3,), "multi_binary": (4,), "squashed": (2,), "clipped": (2,)}


class Strict(gym.Env[np.ndarray, object]):
    """Accepts only actions that its space contains. Ends after five steps."""

    observation_space = gym.spaces.Box(-10, 10, (4,), np.float32)

    def __init__(self, kind: str) -> None:
        self.action_space = GYM[kind]

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> object:  # type: ignore[override]
        """Starts an episode."""
        super().reset(seed=seed)
        self._left = 5
        return self.np_random.normal(size=4).astype(np.float32), {}

    def step(self, action: object) -> object:  # type: ignore[override]
        """Rewards an action that its space contains."""
        self._left -= 1
        reward = float(self.action_space.contains(action))
        return self.np_random.normal(size=4).astype(np.float32), reward, self._left == 0, False, {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with one random policy of each kind, named after it."""
    folder = tmp_path_factory.mktemp("kinds")
    repository = ModelRepository(folder / "repository")
    for kind in ACTIONS:
        name = kind.replace("_", "-")
        described = metadata(kind, policy=name)
        repository.publish(name, {"model.onnx": model(described)}, metadata=described)
        repository.set_alias(name, "champion", 1, actor="test", reason="test")
    seeing = metadata("discrete", "mixed", policy="seeing")
    repository.publish("seeing", {"model.onnx": model(seeing)}, metadata=seeing)
    repository.set_alias("seeing", "champion", 1, actor="test", reason="test")
    command = (sys.executable, "-m", "policyd_server", "--listen", "127.0.0.1:0", "--trainer", "127.0.0.1:1")
    free = {"POLICYD_METRICS": "127.0.0.1:0"}
    process = ServiceProcess("server", [*command, "--repository", str(repository.root)], folder, free)
    yield process.address()
    assert process.stop() == 0


@pytest.mark.parametrize("kind", ACTIONS)
def test_answers_are_arrays_of_their_kind(server: str, kind: str) -> None:
    """`actions` has the environment's actions, one row per observation."""
    with PolicyClient(server, timeout=60) as client:
        answer = client.act(np.zeros((3, 4)), policy=kind.replace("_", "-"), seed=1)
    assert answer.actions.shape == (3, *SHAPES[kind])
    assert (answer.action_probs.shape[1] == 0) == (answer.action_mean.shape[1] > 0)


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("how", [("--seed", "9"), ("--deterministic",)], ids=["sampled", "mode"])
def test_answers_are_verified_from_their_receipts(
    server: str, kind: str, how: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the server drew is recomputed, and a changed action is found."""
    receipt = tmp_path / "receipt.json"
    rows = ("0,0.1,-0.2,0.3", "1,-1,0.5,0", "2,2,2,2")
    where = ("--server", server)
    policy = ("--policy", kind.replace("_", "-"))
    assert run([*where, "act", *policy, *how, "--receipt", str(receipt), *rows]) == Exit.OK
    assert run([*where, "verify", str(receipt)]) == Exit.OK, capfd.readouterr().out
    document = json.loads(receipt.read_text())
    changed = np.asarray(document["rows"][0]["action"]) + 1
    document["rows"][0]["action"] = changed.tolist()
    receipt.write_text(json.dumps(document))
    assert run([*where, "verify", str(receipt)]) == Exit.NOT_VERIFIED


@pytest.mark.parametrize("kind", ACTIONS)
def test_episodes_play_what_the_space_contains(server: str, kind: str) -> None:
    """Each action has the environment's own shape, type and numbers."""
    env_id, name = f"Strict-{kind}-v0", kind.replace("_", "-")
    gym.register(env_id, lambda **_: Strict(kind), disable_env_checker=True)
    with PolicyClient(server, timeout=60) as client:
        version = client.get_policy(name).versions[0]
        plan = EpisodePlan(env_id, name, 1, version.metadata, episodes=2, seed=3, deterministic=False)
        assert play(client, plan).returns == [5.0, 5.0]
    del gym.registry[env_id]


def _seen(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(4)
    return [
        {"camera": rng.integers(0, 256, (6, 5, 3), np.uint8), "choice": rng.integers(-2, 5)}
        for _ in range(count)
    ]


def test_observations_go_in_their_own_types(server: str) -> None:
    """With the policy's space, the client takes observations as an environment returns them.

    The request is the same.
    """
    seen = _seen(3)
    with PolicyClient(server, timeout=60) as client:
        space = client.get_policy("seeing").versions[0].metadata.observation_space
        assert space == OBSERVATIONS["mixed"]
        typed = client.act(seen, space=space, policy="seeing", seed=3)
        rows = np.stack([spaces.flatten(spaces.leaves(space), one) for one in seen])
        plain = client.act(rows, policy="seeing", seed=3)
        for name in ("actions", "action_probs", "log_probs"):
            np.testing.assert_array_equal(getattr(typed, name), getattr(plain, name))
        request = ActCodec(seen, space=space).request
        assert len(request.typed_observations) == 3 * (90 + 8)
        with pytest.raises(InvalidArgument, match=r"observations\.camera: got none"):
            client.act([{"choice": 1}], space=space, policy="seeing")
        with pytest.raises(InvalidArgument, match=r"observations: got dict .*, expected a sequence"):
            client.act(seen[0], space=space, policy="seeing")  # type: ignore[arg-type]  # that is the mistake


class Seeing(Strict):
    """The same environment, observed by a camera and a choice.

    With `blurred` the pixels have another type than the space's.
    """

    observation_space = gym.spaces.Dict(
        camera=gym.spaces.Box(0, 255, (6, 5, 3), np.uint8), choice=gym.spaces.Discrete(7, start=-2)
    )  # type: ignore[assignment]

    def __init__(self, blurred: bool = False) -> None:
        super().__init__("discrete")
        self._blurred = blurred

    def _shown(self) -> dict[str, object]:
        camera = self.np_random.integers(0, 256, (6, 5, 3), np.uint8)
        return {"camera": camera / 2 if self._blurred else camera, "choice": self.np_random.integers(-2, 5)}

    def reset(self, **arguments: object) -> object:  # type: ignore[override]
        """Starts an episode."""
        super().reset(**arguments)  # type: ignore[arg-type]
        return self._shown(), {}

    def step(self, action: object) -> object:  # type: ignore[override]
        """See `Strict.step`."""
        ended: tuple[object, ...] = super().step(action)  # type: ignore[assignment]
        return self._shown(), *ended[1:]


@pytest.mark.parametrize("blurred", [False, True])
def test_what_is_seen_is_played(server: str, blurred: bool) -> None:
    """Images can be played whether or not the environment keeps to its space's type."""
    gym.register("Seeing-v0", entry_point=lambda **_: Seeing(blurred), disable_env_checker=True)
    with PolicyClient(server, timeout=60) as client:
        version = client.get_policy("seeing").versions[0]
        plan = EpisodePlan(
            "Seeing-v0", "seeing", 1, version.metadata, episodes=2, seed=3, deterministic=False
        )
        assert play(client, plan).returns == [5.0, 5.0]
    del gym.registry["Seeing-v0"]


def test_composite_observations_on_the_command_line(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Members as JSON give the same request as a row, and the receipt is verified.

    JSON that is not an object is refused.
    """
    one = {name: np.asarray(part).tolist() for name, part in _seen(1)[0].items()}
    receipt = str(tmp_path / "receipt.json")
    ask = ("--server", server, "act", "--policy", "seeing", "--seed", "9", "--receipt", receipt)
    assert run([*ask, json.dumps(one)]) == Exit.OK
    assert run(["--server", server, "verify", receipt]) == Exit.OK, capfd.readouterr().out
    assert run([*ask, json.dumps(list(one.values()))]) == Exit.BAD_REQUEST
    assert "observations.camera: got none" in capfd.readouterr().err


def test_images_from_a_file(server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Observations in an .npz file give the same response as over the client."""
    seen = _seen(3)
    members = {name: np.stack([np.asarray(one[name]) for one in seen]) for name in seen[0]}
    np.savez(tmp_path / "seen.npz", allow_pickle=False, **members)
    ask = ("--server", server, "--json", "act", "--policy", "seeing", "--seed", "9")
    assert run([*ask, f"@{tmp_path}/seen.npz"]) == Exit.OK
    answered = json.loads(capfd.readouterr().out)
    with PolicyClient(server, timeout=60) as client:
        space = client.get_policy("seeing").versions[0].metadata.observation_space
        wanted = client.act(seen, space=space, policy="seeing", seed=9)
    assert answered["actions"] == wanted.actions.tolist()
    assert answered["action_probs"] == wanted.action_probs.tolist()
