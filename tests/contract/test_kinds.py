"""Act for every kind of action and observation, over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd import sampling, spaces
from policyd.errors import InvalidArgument, PolicydError
from policyd.repository import ModelRepository
from tests.contract.conftest import ServerProcess, StartServer
from tests.contract.test_act import _refusal
from tests.policyd_server import artifacts, kinds

RECORDED = Path(__file__).parent / "first_release"
# Dark, because the random policies of these tests do not scale: 255 would overflow the deviations.
PIXELS = np.random.default_rng(0).integers(0, 8, (3, 6, 5, 3), np.uint8)


def _serve(
    repository: ModelRepository, start_server: StartServer, *described: PolicyMetadata
) -> ServerProcess:
    for one in described:
        published = repository.publish(one.policy, {"model.onnx": artifacts.model(one)}, metadata=one)
        repository.set_alias(one.policy, "champion", published.version, actor="test", reason="test")
    return start_server()


def _floats(array: pb.FloatArray, *shape: int) -> Any:
    return np.frombuffer(array.raw, np.float32).reshape(shape)


def test_every_kind_of_action(repository: ModelRepository, start_server: StartServer) -> None:
    """The response to each kind can be recomputed from its own fields.

    It has no field of another kind.
    """
    server = _serve(repository, start_server, *(kinds.metadata(kind, policy=kind) for kind in kinds.ACTIONS))
    rows = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)

    def ask(policy: str) -> pb.ActResponse:
        observations = pb.FloatArray(raw=rows.tobytes())
        return server.policy.Act(pb.ActRequest(policy=policy, observations=observations, seed=5), timeout=60)

    answer = ask("multi_discrete")
    actions = np.frombuffer(answer.actions.raw, np.int64).reshape(30, 3)
    for i, row in enumerate(_floats(answer.action_probs, 30, 9).tolist()):
        assert actions[i].tolist() == sampling.sample_branches(row, (2, 3, 4), 5, i)
    answer = ask("multi_binary")
    actions = np.frombuffer(answer.actions.raw, np.int64).reshape(30, 4)
    for i, row in enumerate(_floats(answer.action_probs, 30, 4).tolist()):
        assert actions[i].tolist() == sampling.sample_bits(row, 5, i)
    for kind in ("squashed", "clipped"):
        answer = ask(kind)
        assert not answer.HasField("actions")
        assert not answer.HasField("action_probs")
        mean, std = _floats(answer.action_mean, 30, 2), _floats(answer.action_std, 30, 2)
        samples, vectors = _floats(answer.gaussian_samples, 30, 2), _floats(answer.vectors, 30, 2)
        for i in range(30):
            u = sampling.sample_normal(mean[i].tolist(), std[i].tolist(), 5, i)
            np.testing.assert_allclose(samples[i], u, rtol=1e-6, atol=1e-6)
            played = sampling.box_action(kinds.ACTIONS[kind][1].gaussian, samples[i].tolist())
            np.testing.assert_allclose(vectors[i], played, rtol=1e-6, atol=1e-6)
    answer = ask("discrete")
    assert not answer.HasField("vectors")
    assert not answer.HasField("gaussian_samples")


def test_typed_observations_are_the_same_question(
    repository: ModelRepository, start_server: StartServer
) -> None:
    """A Dict with a uint8 image in its own types gets the same response as float32 rows."""
    described = kinds.metadata("squashed", "mixed")
    server = _serve(repository, start_server, described)
    parts = spaces.leaves(described.observation_space)
    samples = [{"camera": image, "choice": choice} for image, choice in zip(PIXELS, (-2, 0, 4), strict=True)]
    typed = pb.ActRequest(typed_observations=spaces.to_typed(parts, samples), seed=3)
    assert len(typed.typed_observations) == 3 * (6 * 5 * 3 + 8)
    flat = np.stack([spaces.flatten(parts, sample) for sample in samples])
    floats = pb.ActRequest(observations=pb.FloatArray(raw=flat.tobytes()), seed=3)
    assert server.policy.Act(typed, timeout=60) == server.policy.Act(floats, timeout=60)


def test_pixels_are_answered_alike_however_they_come(
    repository: ModelRepository, start_server: StartServer
) -> None:
    """uint8 and float32 pixels give equal responses: alone, in batches, repeated, in streams."""
    described = kinds.metadata("discrete", "image", policy="camera")
    server = _serve(repository, start_server, described)
    for rows in (1, 3):
        pixels = pb.ActRequest(policy="camera", typed_observations=PIXELS[:rows].tobytes(), seed=3)
        numbers = PIXELS[:rows].astype(np.float32).tobytes()
        floats = pb.ActRequest(policy="camera", observations=pb.FloatArray(raw=numbers), seed=3)
        asked = [pixels, pixels, floats, floats, pixels]
        answers = [server.policy.Act(request, timeout=60) for request in asked]
        streamed = server.policy.StreamAct(
            (pb.StreamActRequest(request=request) for request in asked), timeout=60
        )
        answers += [message.response for message in streamed]
        assert len(answers) == 2 * len(asked)
        assert all(answer == answers[0] for answer in answers)


def test_what_does_not_fit_the_kind_is_refused(
    repository: ModelRepository, start_server: StartServer
) -> None:
    """Masks and temperatures for vectors, choices out of range and two observations are refused.

    Each error names the field.
    """
    server = _serve(
        repository,
        start_server,
        kinds.metadata("squashed", policy="vectors"),
        kinds.metadata("multi_discrete", "choice", policy="branches"),
    )
    row = pb.FloatArray(values=[0, 0, 0, 0])

    def refused(**request: Any) -> PolicydError:
        return _refusal(server, pb.ActRequest(**request))

    for error, field in (
        (refused(policy="vectors", observations=row, temperature=0.5), "temperature"),
        (refused(policy="vectors", observations=row, action_mask=pb.BoolArray(raw=b"\1\1")), "action_mask"),
        (refused(policy="vectors", observations=row, typed_observations=b"\0" * 16), "typed_observations"),
        (refused(policy="vectors", typed_observations=b"\0" * 15), "typed_observations"),
        (refused(policy="branches", observations=pb.FloatArray(values=[5])), "observations"),
        (refused(policy="branches", observations=pb.FloatArray(values=[0, -3])), "observations"),
        (refused(policy="branches", observations=pb.FloatArray(values=[0.5])), "observations"),
        (
            refused(
                policy="branches",
                observations=pb.FloatArray(values=[4]),
                action_mask=pb.BoolArray(raw=b"\1\1\1\1\1\0\0\0\0"),
            ),
            "action_mask",
        ),
    ):
        assert isinstance(error, InvalidArgument)
        assert [violation.field for violation in error.violations] == [field]


@pytest.mark.parametrize("name", ["sampled", "masked", "deterministic", "single"])
def test_answers_of_the_first_release(
    name: str, repository: ModelRepository, start_server: StartServer
) -> None:
    """The first release's artifact responds to its recorded requests as it did then.

    The fields, actions and numbers are compared.
    """
    described = PolicyMetadata.FromString((RECORDED / "model.metadata.binpb").read_bytes())
    repository.publish("cartpole", {"model.onnx": RECORDED / "model.onnx"}, metadata=described)
    server = start_server()
    request = pb.ActRequest.FromString((RECORDED / f"{name}.request.binpb").read_bytes())
    recorded = pb.ActResponse.FromString((RECORDED / f"{name}.answer.binpb").read_bytes())
    answer = server.policy.Act(request, timeout=60)
    assert [field.name for field, _ in answer.ListFields()] == [
        field.name for field, _ in recorded.ListFields()
    ]
    for array in ("action_probs", "log_probs", "values"):  # another processor may round these differently
        now, then = (_numbers(getattr(message, array)) for message in (answer, recorded))
        np.testing.assert_allclose(now, then, rtol=1e-5, atol=1e-6)
        getattr(answer, array).CopyFrom(getattr(recorded, array))
    assert answer.SerializeToString(deterministic=True) == recorded.SerializeToString(deterministic=True)


def _numbers(array: pb.FloatArray) -> Any:
    return np.frombuffer(array.raw, np.float32) if array.raw else np.array(array.values)
