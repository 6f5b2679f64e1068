"""Damage stays with the policy that has it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policyd import errors
from policyd.repository import ModelRepository, PublishedVersion

Publish = Callable[..., PublishedVersion]
DEEP = "[" * 200_000


@pytest.fixture
def repository(disk: ModelRepository) -> ModelRepository:
    """A repository on disk: only a disk can fail in these ways."""
    return disk


def _state(**changes: object) -> str:
    change = {
        "kind": "set",
        "alias": "champion",
        "version": 1,
        "generation": 1,
        "change_time": "2026-01-01T00:00:00+00:00",
        "actor": "a",
        "reason": "r",
    }
    body = {
        "format": 1,
        "policy": "cartpole",
        "generation": 1,
        "aliases": {"champion": 1},
        "history": [change],
    }
    return json.dumps(body | changes)


ALIAS_TEXTS = {
    "empty": "",
    "list": "[]",
    "a list for a version": _state(aliases={"champion": [1]}),
    "infinity for a version": _state(aliases={"champion": float("inf")}),
    "a text for a version": _state(aliases={"champion": "1"}),
    "true for a version": _state(aliases={"champion": True}),
    "version 0": _state(aliases={"champion": 0}),
    "a version above 64 bits": _state(aliases={"champion": 2**63}),
    "a fraction": _state(aliases={"champion": 1.5}),
    "aliases that are a list": _state(aliases=[1]),
    "an alias that is no name": _state(aliases={"../x": 1}),
    "infinity for the generation": _state(generation=float("inf")),
    "a negative generation": _state(generation=-1),
    "history that is a number": _state(history=3),
    "a change without fields": _state(history=[{}]),
    "another policy's": _state(policy="lander"),
    "another format": _state(format=9),
    "deep brackets": DEEP,
    "deep brackets inside": '{"format": 1, "x": ' + DEEP,
    "a huge number": '{"format": 1, "generation": ' + "9" * 5000 + "}",
    "no text": "\udcff\udcfe",
}


@pytest.mark.parametrize("text", ALIAS_TEXTS.values(), ids=ALIAS_TEXTS)
def test_a_damaged_alias_state_is_named(repository: ModelRepository, publish: Publish, text: str) -> None:
    """Reading and changing it raise CorruptArtifact in a short line. The file is not changed."""
    publish()
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    path = repository.root / "aliases/cartpole.json"
    content = text.encode(errors="surrogateescape")
    path.write_bytes(content)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: repository.aliases("cartpole"),
        lambda: repository.set_alias("cartpole", "champion", 1, actor="", reason=""),
        lambda: repository.rollback_alias("cartpole", "champion", actor="", reason=""),
    )
    for attempt in attempts:
        with pytest.raises(errors.CorruptArtifact, match=r"aliases/cartpole\.json is damaged") as raised:
            attempt()
        assert len(raised.value.message) < 700
    assert path.read_bytes() == content
    seen = repository.inspect("cartpole")
    assert (seen.aliases, seen.versions, len(seen.damage)) == (None, [1], 1)


def _link_to_nowhere(path: Path) -> None:
    path.symlink_to("/nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file takes no room


ENTRIES: dict[str, Callable[[Path], None]] = {
    "a link to nowhere": _link_to_nowhere,
    "a link to itself": _loop,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a file without end": _huge,
}


@pytest.mark.parametrize("make", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize(
    "name", ["aliases/cartpole.json", "models/cartpole/1/metadata.json", "models/cartpole/1/model.onnx"]
)
def test_a_file_may_be_anything(
    repository: ModelRepository, publish: Publish, name: str, make: Callable[[Path], None]
) -> None:
    """Anything in place of a file gives an error that names it, quickly and with little memory."""
    publish()
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    path = repository.root / name
    path.unlink()
    make(path)
    with pytest.raises((errors.CorruptArtifact, errors.NotFound)):
        repository.aliases("cartpole") if name.startswith("aliases") else repository.verify("cartpole", 1)
    seen = repository.inspect("cartpole")
    assert bool(seen.damage) == name.startswith("aliases")
    if name.endswith("metadata.json") and make is Path.mkdir:
        assert "is not a version" in seen.notes[0]
    else:
        assert (seen.versions, seen.notes) == ([1], ())


@pytest.mark.parametrize("make", ENTRIES.values(), ids=ENTRIES)
def test_a_policys_folder_may_be_anything(
    repository: ModelRepository,
    publish: Publish,
    metadata: artifact_pb2.PolicyMetadata,
    make: Callable[[Path], None],
) -> None:
    """Other policies can be listed, read, published and promoted as usual."""
    publish()
    make(repository.root / "models/bad")
    damaged = make is not Path.mkdir
    assert repository.policies() == (["bad", "cartpole"] if damaged else ["cartpole"])
    assert set(repository.stamps()) == {"bad", "cartpole"}
    assert bool(repository.inspect("bad").damage) is damaged
    assert publish().version == 2
    assert repository.set_alias("cartpole", "champion", 2, actor="", reason="").generation == 1
    if damaged:
        metadata.policy = "bad"
        with pytest.raises(errors.CorruptArtifact, match="bad"):
            repository.publish("bad", {"model.onnx": b""}, metadata=metadata)
        with pytest.raises(errors.PolicydError):
            repository.versions("bad")


def test_a_folder_without_permission(repository: ModelRepository, publish: Publish) -> None:
    """Folders, and an alias state, without permission are named.

    A policy's folder and a version's folder are tried.
    """
    for _ in range(2):
        publish()
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    for path in [repository.root, *repository.root.parents][:5]:
        path.chmod(0o755)
    version = repository.root / "models/cartpole/1"
    version.chmod(0o000)
    (repository.root / "aliases/cartpole.json").chmod(0o000)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(errors.CorruptArtifact, match="Permission denied"):
            repository.read("cartpole", 1)
        assert repository.read("cartpole", 2).version == 2
        seen = repository.inspect("cartpole")
        assert (seen.aliases, seen.versions) == (None, [1, 2])
        assert "Permission denied" in seen.damage[0]
    finally:
        os.seteuid(os.getuid())
        version.chmod(0o755)


METADATA_CHANGES: dict[str, object] = {
    "version": float("inf"),
    "create_time": "yesterday",
    "sha256": 5,
    "files": ["model.onnx"],
    "job_id": None,
    "metadata": {"seed": float("inf")},
}


@pytest.mark.parametrize("field", METADATA_CHANGES)
def test_a_damaged_description_stays_with_its_version(
    repository: ModelRepository, publish: Publish, field: str
) -> None:
    """One field in metadata.json is wrong.

    That version is corrupt; the next one can be published and read.
    """
    path = repository.root / publish(job_id="job").path / "metadata.json"
    body = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps(body | {field: METADATA_CHANGES[field]}))
    with pytest.raises(errors.CorruptArtifact, match=r"metadata\.json is damaged"):
        repository.read("cartpole", 1)
    assert publish(job_id="job").version == 2
    assert repository.versions("cartpole") == [1, 2]


def test_a_damaged_last_number_says_what_to_do(repository: ModelRepository, publish: Publish) -> None:
    """A number could be used twice, so nothing can be published.

    An operator has to repair the file first.
    """
    publish()
    (repository.root / "models/cartpole/last_version").write_text("many")
    with pytest.raises(errors.CorruptArtifact, match="write the largest number"):
        publish()
    (repository.root / "models/cartpole/last_version").write_text("7\n")
    assert publish().version == 8


def test_a_folder_that_is_no_version_is_noted(repository: ModelRepository, publish: Publish) -> None:
    """A folder that was copied by hand into a version's place has no description."""
    publish()
    (folder := repository.root / "models/other/1").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model")
    (repository.root / "models/cartpole" / ("9" * 100)).mkdir()
    assert repository.policies() == ["cartpole"]
    assert "models/other/1 has no metadata.json" in repository.inspect("other").notes[0]
    assert repository.inspect("cartpole").notes == ()


def test_a_place_without_versions_says_so(tmp_path: Path) -> None:
    """A location that does not exist differs from one without any version."""
    assert "does not exist" in (ModelRepository(tmp_path / "typo").absence() or "")
    assert "no folder `models`" in (ModelRepository(tmp_path).absence() or "")
    (tmp_path / "models").mkdir()
    assert ModelRepository(tmp_path).absence() is None


@pytest.mark.parametrize("location", ["ftp://host/models", "s4://bucket", "", "http://host"])
def test_a_location_of_an_unknown_kind_is_refused(location: str) -> None:
    """A location of an unknown kind is not taken for a folder's name."""
    with pytest.raises(errors.InvalidArgument, match="repository"):
        ModelRepository(location)
