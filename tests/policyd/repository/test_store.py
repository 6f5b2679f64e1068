"""Publishing and reading versions."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policyd import errors
from policyd.repository import ModelRepository, PublishedVersion, versions
from tests.policyd.repository.conftest import Raw

Publish = Callable[..., PublishedVersion]


def test_an_empty_root_is_an_empty_repository(repository: ModelRepository) -> None:
    """Reading an empty root creates nothing and finds nothing."""
    assert repository.policies() == []
    assert repository.sweep() == 0
    assert repository.find_job("cartpole", "job") is None
    with pytest.raises(errors.NotFound, match="there are: none"):
        repository.versions("cartpole")
    assert repository.absence() is not None


def test_versions_are_numbered_from_one(repository: ModelRepository, publish: Publish) -> None:
    """Each publication takes the next number, and can be read as it was published."""
    published = [publish(b"first"), publish(b"second", job_id="job-2")]
    assert [version.version for version in published] == repository.versions("cartpole") == [1, 2]
    assert repository.policies() == ["cartpole"]
    again = repository.verify("cartpole", 2)
    assert again == published[1]
    assert again.digest == hashlib.sha256(b"second").hexdigest()
    assert again.job_id == "job-2"
    assert again.metadata.env_id == "CartPole-v1"
    assert repository.read_model("cartpole", 2) == b"second"


def test_files_come_from_paths_and_bytes(
    repository: ModelRepository, raw: Raw, metadata: artifact_pb2.PolicyMetadata, tmp_path: Path
) -> None:
    """A source path is copied whole and verified, and the source stays."""
    curve = tmp_path / "curve.png"
    curve.write_bytes(b"picture")
    files: dict[str, Path | bytes] = {"model.onnx": b"model", "learning_curve.png": curve}
    published = repository.publish("cartpole", files, metadata=metadata)
    copied = f"{published.path}/learning_curve.png"
    assert raw.read(copied) == curve.read_bytes() == b"picture"
    raw.write(copied, b"forgery")
    with pytest.raises(errors.CorruptArtifact, match=r"learning_curve\.png"):
        repository.verify("cartpole", 1)


def test_metadata_that_no_reader_takes_is_not_published(
    repository: ModelRepository, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the version would be damaged from the beginning, and for good."""
    size = len(versions.encode(1, {"model.onnx": "0" * 64}, publish().metadata, ""))
    monkeypatch.setattr(versions, "MAX_METADATA_BYTES", size + 1000)
    with pytest.raises(errors.InvalidArgument, match=r"metadata: got \d+ bytes in metadata.json"):
        publish(job_id="j" * 2000)
    assert repository.versions("cartpole") == [1]
    assert repository.verify("cartpole", publish().version).version == 2


def test_a_job_publishes_once(repository: ModelRepository, publish: Publish) -> None:
    """The same job id returns the version that it has published. An empty id never does."""
    first = publish(b"one", job_id="job")
    assert publish(b"another attempt", job_id="job") == first
    assert repository.find_job("cartpole", "job") == first
    assert publish(b"one").version == 2
    assert publish(b"one").version == 3


def test_numbers_of_deleted_versions_are_not_reused(
    repository: ModelRepository, raw: Raw, publish: Publish
) -> None:
    """The number of the newest version stays used after its folder is deleted."""
    publish()
    newest = publish()
    for name in raw.names(newest.path):
        raw.delete(f"{newest.path}/{name}")
    assert repository.versions("cartpole") == [1]
    assert publish().version == 3


@pytest.mark.parametrize("name", ["", "Cart", "../cart", "-cart", "a" * 64, "cart pole", "cart\n"])
def test_policy_names_are_checked(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata, name: str
) -> None:
    """A name that could leave the repository's folder is refused, and the error names the field."""
    with pytest.raises(errors.InvalidArgument, match="policy"):
        repository.publish(name, {"model.onnx": b""}, metadata=metadata)
    with pytest.raises(errors.InvalidArgument, match="policy"):
        repository.versions(name)


@pytest.mark.parametrize("name", ["metadata.json", "../model", "a/b", ".."])
def test_file_names_are_checked(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata, name: str
) -> None:
    """A file may not leave the version's folder nor replace its description."""
    with pytest.raises(errors.InvalidArgument, match="files"):
        repository.publish("cartpole", {"model.onnx": b"", name: b""}, metadata=metadata)
    with pytest.raises(errors.InvalidArgument, match=r"model\.onnx"):
        repository.publish("cartpole", {"other": b""}, metadata=metadata)
    assert repository.policies() == []


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


def test_a_damaged_model_is_not_read(repository: ModelRepository, raw: Raw, publish: Publish) -> None:
    """A flipped byte is found before the bytes are used. The description can still be read."""
    model = f"{publish(b'model').path}/model.onnx"
    raw.write(model, b"modeL")
    with pytest.raises(errors.CorruptArtifact, match="sha256"):
        repository.read_model("cartpole", 1)
    with pytest.raises(errors.CorruptArtifact, match="sha256"):
        repository.verify("cartpole", 1)
    assert repository.read("cartpole", 1).version == 1
    raw.delete(model)
    with pytest.raises(errors.CorruptArtifact, match="cannot be read"):
        repository.read_model("cartpole", 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "policy": "other", "version": 1}'])
def test_damaged_metadata_is_an_error_of_the_tree(
    repository: ModelRepository, raw: Raw, publish: Publish, text: str
) -> None:
    """A description that cannot be read is a corrupt artifact.

    Later publications still work.
    """
    raw.write(f"{publish(job_id='job').path}/metadata.json", text.encode())
    with pytest.raises(errors.CorruptArtifact, match=r"metadata\.json"):
        repository.verify("cartpole", 1)
    assert publish(job_id="another").version == 2


def test_a_half_copied_folder_is_no_version(repository: ModelRepository, raw: Raw, publish: Publish) -> None:
    """A folder without metadata.json is not read, and its number is not used again."""
    publish()
    raw.write("models/cartpole/2/model.onnx", b"mod")
    assert repository.versions("cartpole") == [1]
    with pytest.raises(errors.NotFound):
        repository.read("cartpole", 2)
    assert publish().version == 3


def test_published_files_are_read_only(disk: ModelRepository, metadata: artifact_pb2.PolicyMetadata) -> None:
    """Published files are read-only, and every user may read them."""
    directory = disk.root / disk.publish("cartpole", {"model.onnx": b"model"}, metadata=metadata).path
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o444}
    assert directory.stat().st_mode & 0o555 == 0o555


def test_metadata_json_is_for_people_and_other_programs(raw: Raw, publish: Publish) -> None:
    """metadata.json has the digest, the job and the artifact's own description as plain JSON."""
    published = publish(job_id="job")
    body = json.loads(raw.read(f"{published.path}/metadata.json"))
    assert body["sha256"] == body["files"]["model.onnx"] == published.digest
    assert body["job_id"] == "job"
    assert body["metadata"]["observation_space"]["box"]["shape"] == ["4"]


def test_a_version_that_no_alias_names_can_be_removed(repository: ModelRepository, publish: Publish) -> None:
    """Readers no longer find it, its number is not used again, and the others stay."""
    first, second, third = publish(b"1"), publish(b"2", job_id="job"), publish(b"3")
    repository.set_alias("cartpole", "champion", 1, actor="a", reason="")
    assert repository.remove("cartpole", 2)
    assert repository.remove("cartpole", 3)
    assert not repository.remove("cartpole", 2)
    assert repository.versions("cartpole") == [1]
    assert repository.inspect("cartpole").notes == ()
    assert repository.verify("cartpole", 1) == first
    for gone in (second, third):
        with pytest.raises(errors.NotFound):
            repository.read("cartpole", gone.version)
    assert repository.find_job("cartpole", "job") is None
    assert publish(b"4", job_id="job").version == 4
    with pytest.raises(errors.NotFound):
        repository.set_alias("cartpole", "champion", 2, actor="a", reason="")


def test_a_version_that_an_alias_names_stays(repository: ModelRepository, publish: Publish) -> None:
    """The refusal names the alias."""
    publish()
    repository.set_alias("cartpole", "canary", 1, actor="a", reason="")
    with pytest.raises(errors.FailedPrecondition, match="named by alias canary"):
        repository.remove("cartpole", 1)
    assert repository.versions("cartpole") == [1]
