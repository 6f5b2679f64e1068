"""Publishing and reading versions."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_api import errors
from policy_api.v1 import artifact_pb2
from repository import ModelRepository, PublishedVersion

Publish = Callable[..., PublishedVersion]


def test_an_empty_root_is_an_empty_repository(repository: ModelRepository) -> None:
    """Reading creates nothing and finds nothing."""
    assert repository.policies() == []
    assert repository.sweep() == 0
    assert repository.find_job("cartpole", "job") is None
    with pytest.raises(errors.NotFound, match="there are: none"):
        repository.versions("cartpole")
    assert not repository.root.exists()


def test_versions_are_numbered_from_one(repository: ModelRepository, publish: Publish) -> None:
    """Each publication takes the next number, and reads back as it was published."""
    published = [publish(b"first"), publish(b"second", job_id="job-2")]
    assert [version.version for version in published] == repository.versions("cartpole") == [1, 2]
    assert repository.policies() == ["cartpole"]
    again = repository.verify("cartpole", 2)
    assert again == published[1]
    assert again.digest == hashlib.sha256(b"second").hexdigest()
    assert again.job_id == "job-2"
    assert again.metadata.env_id == "CartPole-v1"
    assert again.model_path.read_bytes() == repository.read_model("cartpole", 2) == b"second"


def test_files_come_from_paths_and_bytes(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata, tmp_path: Path
) -> None:
    """A source path is copied, whole and verified, and the source stays."""
    curve = tmp_path / "curve.png"
    curve.write_bytes(b"picture")
    files: dict[str, Path | bytes] = {"model.onnx": b"model", "learning_curve.png": curve}
    published = repository.publish("cartpole", files, metadata=metadata)
    assert (published.directory / "learning_curve.png").read_bytes() == curve.read_bytes() == b"picture"
    (published.directory / "learning_curve.png").chmod(0o644)
    (published.directory / "learning_curve.png").write_bytes(b"forgery")
    with pytest.raises(errors.CorruptArtifact, match=r"learning_curve\.png"):
        repository.verify("cartpole", 1)


def test_a_job_publishes_once(repository: ModelRepository, publish: Publish) -> None:
    """The same job id answers the version that it published before; an empty id never does."""
    first = publish(b"one", job_id="job")
    assert publish(b"another attempt", job_id="job") == first
    assert repository.find_job("cartpole", "job") == first
    assert publish(b"one").version == 2
    assert publish(b"one").version == 3


def test_numbers_of_deleted_versions_are_not_reused(repository: ModelRepository, publish: Publish) -> None:
    """Deleting the newest version's folder does not give its number to the next."""
    publish()
    newest = publish()
    for path in newest.directory.iterdir():
        path.unlink()
    newest.directory.rmdir()
    assert repository.versions("cartpole") == [1]
    assert publish().version == 3


@pytest.mark.parametrize("name", ["", "Cart", "../cart", "-cart", "a" * 64, "cart pole", "cart\n"])
def test_policy_names_are_checked(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata, name: str
) -> None:
    """A name that could leave the repository's folder is refused, naming the field."""
    with pytest.raises(errors.InvalidArgument, match="policy"):
        repository.publish(name, {"model.onnx": b""}, metadata=metadata)
    with pytest.raises(errors.InvalidArgument, match="policy"):
        repository.versions(name)


@pytest.mark.parametrize("name", ["metadata.json", "../model", "a/b", ".."])
def test_file_names_are_checked(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata, name: str
) -> None:
    """A file may not leave the version's folder nor stand in for its description."""
    with pytest.raises(errors.InvalidArgument, match="files"):
        repository.publish("cartpole", {"model.onnx": b"", name: b""}, metadata=metadata)
    with pytest.raises(errors.InvalidArgument, match=r"model\.onnx"):
        repository.publish("cartpole", {"other": b""}, metadata=metadata)
    assert list((repository.root / "staging").iterdir()) == []


def test_metadata_speaks_of_the_policy(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata
) -> None:
    """Metadata of another policy, or without its spaces, is refused."""
    with pytest.raises(errors.InvalidArgument, match=r"metadata\.policy"):
        repository.publish("lander", {"model.onnx": b""}, metadata=metadata)
    metadata.ClearField("observation_space")
    with pytest.raises(errors.InvalidArgument, match="observation_space"):
        repository.publish("cartpole", {"model.onnx": b""}, metadata=metadata)


def test_an_unknown_version_is_not_found(repository: ModelRepository, publish: Publish) -> None:
    """The message lists the versions that there are."""
    publish()
    for version in (0, -1, 2):
        with pytest.raises(errors.NotFound, match="there are: 1"):
            repository.read("cartpole", version)


def test_a_damaged_model_is_not_read(repository: ModelRepository, publish: Publish) -> None:
    """One flipped byte is found before the bytes are trusted, and the description still reads."""
    path = publish(b"model").model_path
    path.chmod(0o644)
    path.write_bytes(b"modeL")
    with pytest.raises(errors.CorruptArtifact, match="sha256"):
        repository.read_model("cartpole", 1)
    with pytest.raises(errors.CorruptArtifact, match="sha256"):
        repository.verify("cartpole", 1)
    assert repository.read("cartpole", 1).version == 1
    path.unlink()
    with pytest.raises(errors.CorruptArtifact, match="cannot be read"):
        repository.read_model("cartpole", 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "policy": "other", "version": 1}'])
def test_damaged_metadata_is_an_error_of_the_tree(
    repository: ModelRepository, publish: Publish, text: str
) -> None:
    """A description that cannot be read is a corrupt artifact, and does not stop later publications."""
    path = publish(job_id="job").directory / "metadata.json"
    path.chmod(0o644)
    path.write_text(text)
    with pytest.raises(errors.CorruptArtifact, match=r"metadata\.json"):
        repository.verify("cartpole", 1)
    assert publish(job_id="another").version == 2


def test_a_half_copied_folder_is_no_version(repository: ModelRepository, publish: Publish) -> None:
    """A folder without metadata.json is not read, and its number is not taken again."""
    publish()
    (half := repository.root / "models/cartpole/2").mkdir()
    (half / "model.onnx").write_bytes(b"mod")
    assert repository.versions("cartpole") == [1]
    with pytest.raises(errors.NotFound):
        repository.read("cartpole", 2)
    assert publish().version == 3


def test_published_files_are_read_only(publish: Publish) -> None:
    """Nobody changes a version by accident, and every user may read it."""
    directory = publish().directory
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o444}
    assert directory.stat().st_mode & 0o555 == 0o555


def test_metadata_json_is_for_people_and_other_programs(publish: Publish) -> None:
    """metadata.json holds the digest, the job and the artifact's own description as plain JSON."""
    published = publish(job_id="job")
    body = json.loads((published.directory / "metadata.json").read_text())
    assert body["sha256"] == body["files"]["model.onnx"] == published.digest
    assert body["job_id"] == "job"
    assert body["metadata"]["observation_space"]["box"]["shape"] == ["4"]
