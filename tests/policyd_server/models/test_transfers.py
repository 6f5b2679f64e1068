"""ExportVersion and ImportVersion, by a real server and the real commands."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd.cli.app import run
from policyd.client.client import PolicyClient
from policyd.errors import NotFound
from policyd.repository import ModelRepository, PublishedVersion
from tests.policyd_server import artifacts
from tests.policyd_server.process import ServerProcess

Publish = Callable[..., PublishedVersion]
StartServer = Callable[..., ServerProcess]
REPORT = b"<html>" + b"x" * 3_000_000


@pytest.fixture
def reported(repository: ModelRepository) -> PublishedVersion:
    """A version with a report of several chunks and an empty file."""
    described = artifacts.metadata("cartpole")
    files: dict[str, Path | bytes] = {
        "model.onnx": artifacts.model(described, seed=3),
        "report.html": REPORT,
        "empty.txt": b"",
    }
    published = repository.publish("cartpole", files, metadata=described, job_id="job")
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    return published


def _policyctl(server: ServerProcess, *arguments: str) -> int:
    return run(["--server", server.address, *arguments])


@pytest.mark.parametrize("form", ["version.tar", "version"])
def test_a_version_moves_from_one_repository_to_another(
    reported: PublishedVersion,
    start_server: StartServer,
    repository: ModelRepository,
    tmp_path: Path,
    form: str,
) -> None:
    """One server exports the version and another imports it.

    It has the same bytes and metadata, and a number of its own.
    """
    server = start_server()
    bundle = tmp_path / form
    assert _policyctl(server, "export", "--output", str(bundle)) == 0
    for number in (1, 1):  # the second import finds the first
        assert _policyctl(server, "import", str(bundle), "--policy", "prod", "--alias", "champion") == 0
        imported = repository.verify("prod", number)
        assert imported.files == reported.files
        assert imported.metadata.env_id == reported.metadata.env_id
        assert imported.metadata.policy == "prod"
    assert repository.versions("prod") == [1]
    request = pb.ActRequest(policy="prod", observations=pb.FloatArray(values=[0, 0, 0, 0]))
    assert server.policy.Act(request, timeout=60).digest == reported.digest


def test_a_report_reaches_a_laptop(
    reported: PublishedVersion, start_server: StartServer, tmp_path: Path
) -> None:
    """A single file of a version can be fetched whole, whatever its size."""
    server = start_server()
    assert _policyctl(server, "report", "--output", str(tmp_path / "r.html")) == 0
    assert (tmp_path / "r.html").read_bytes() == REPORT


def test_what_cannot_be_exported_is_refused(
    reported: PublishedVersion,
    start_server: StartServer,
    repository: ModelRepository,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unknown file, version or alias, damage, and an existing target are refused.

    There is one line, and no file is left.
    """
    server = start_server()
    with PolicyClient(server.address, timeout=60) as client:
        for wrong in ({"files": ["no.html"]}, {"version": 9}, {"alias": "nobody"}, {"policy": "nobody"}):
            with pytest.raises(NotFound):
                client.export_version(tmp_path, **wrong)
    assert _policyctl(server, "export", "--output", str(tmp_path)) == 2
    assert "exists already" in capsys.readouterr().err
    report = repository.root / reported.path / "report.html"
    report.chmod(0o644)
    report.write_bytes(b"forged")
    assert _policyctl(server, "export", "--output", str(tmp_path / "out.tar")) == 1
    assert "CORRUPT_ARTIFACT" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def _contents(files: dict[str, bytes], **changes: str) -> pb.VersionContents:
    described = artifacts.metadata("cartpole")
    listed = [pb.VersionFile(name=n, digest=hashlib.sha256(data).hexdigest()) for n, data in files.items()]
    contents = pb.VersionContents(policy="new", metadata=described, files=listed)
    for file in contents.files:
        file.digest = changes.get(file.name, file.digest)
    return contents


def _send(
    server: ServerProcess, contents: pb.VersionContents, *chunks: tuple[int, bytes]
) -> Exception | None:
    messages = [pb.ImportVersionRequest(contents=contents)]
    messages += [pb.ImportVersionRequest(chunk=pb.FileChunk(file=i, data=data)) for i, data in chunks]
    try:
        server.policy.ImportVersion(iter(messages), timeout=60)
    except grpc.RpcError as error:
        return error
    return None


def test_what_must_not_be_imported_is_refused(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """Bad names, other bytes, too few or too many, and a missing model are refused.

    Each has its status, and nothing is published.
    """
    publish()
    server = start_server("--max-import-bytes", "100000")
    model = artifacts.model(artifacts.metadata("cartpole"), seed=1)
    good, invalid = {"model.onnx": model}, grpc.StatusCode.INVALID_ARGUMENT
    failed, exhausted = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED
    other = pb.VersionContents()
    other.CopyFrom(_contents(good))
    other.metadata.observation_space.box.shape[:] = [5]
    huge = pb.VersionContents()
    huge.CopyFrom(_contents(good))
    huge.metadata.observation_space.box.shape[:] = [2**40]
    cases = [
        (invalid, _contents({}), []),
        (invalid, pb.VersionContents(), []),
        (invalid, _contents({**good, "../x": b""}), [(0, model), (1, b"")]),
        (invalid, _contents({**good, "metadata.json": b""}), [(0, model), (1, b"")]),
        (invalid, _contents({**good, ".lock": b""}), [(0, model), (1, b"")]),
        (invalid, _contents(good, **{"model.onnx": "0" * 64}), [(0, model)]),
        (invalid, _contents(good), []),
        (invalid, _contents(good), [(0, model[:-1])]),
        (invalid, _contents({**good, "a": b""}), [(1, b""), (0, model)]),
        (invalid, _contents(good), [(7, model)]),
        (invalid, _contents(good), [(-1, model)]),
        (exhausted, _contents(good), [(0, bytes(60_000)), (0, bytes(60_000))]),
        (failed, _contents({"model.onnx": b"no model"}), [(0, b"no model")]),
        (failed, other, [(0, model)]),
        (failed, huge, [(0, model)]),
    ]
    for expected, contents, chunks in cases:
        error = _send(server, contents, *chunks)
        assert isinstance(error, grpc.RpcError)
        assert error.code() is expected, (expected, error.details())
    assert repository.policies() == ["cartpole"]
    assert _send(server, _contents(good), (0, model)) is None
    assert repository.policies() == ["cartpole", "new"]


def test_a_damaged_bundle_is_not_sent(
    reported: PublishedVersion, start_server: StartServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of the bundle that was changed later is found before anything is sent."""
    server = start_server()
    assert _policyctl(server, "export", "--output", str(tmp_path / "bundle")) == 0
    (tmp_path / "bundle/report.html").chmod(0o644)
    (tmp_path / "bundle/report.html").write_bytes(b"forged")
    assert _policyctl(server, "import", str(tmp_path / "bundle"), "--policy", "x") == 1
    (tmp_path / "text.tar").write_text("no archive")
    assert _policyctl(server, "import", str(tmp_path / "text.tar")) == 1
    assert capsys.readouterr().err.count("CORRUPT_ARTIFACT") == 2
