"""Observations from a command line and from files."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from policy_api.v1.artifact_pb2 import Space, TupleSpace
from policyd.cli.observations import read_rows
from policyd.errors import InvalidArgument
from tests.policyd_server.kinds import OBSERVATIONS

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)  # two observations
BOX = Space()
BOX.box.shape.extend((6, 5, 3))
BOX.box.dtype = "uint8"
MIXED = OBSERVATIONS["mixed"]  # a Dict of such a camera image and a choice
MIXED_ROWS = np.concatenate((IMAGE.reshape(2, -1), [[-2], [4]]), axis=1)
TUPLE = Space(tuple=TupleSpace(spaces=[BOX, Space(tuple=TupleSpace(spaces=[MIXED]))]))


def never() -> Space:
    """Fails the test: the space must not be needed."""
    raise AssertionError("the space was asked for")


def test_what_is_written_needs_no_space() -> None:
    """Numbers and arrays are rows by themselves, with negative numbers, too."""
    np.testing.assert_array_equal(read_rows(["-1,2", "[3, -4]"], never), [[-1, 2], [3, -4]])


@pytest.mark.parametrize("count", [1, 2])
def test_an_image_from_a_file(tmp_path: Path, count: int) -> None:
    """A file has one image or a batch, as .npy, .npz or JSON, under any name."""
    images = IMAGE[0] if count == 1 else IMAGE
    path = tmp_path / "image"
    wanted = IMAGE[:count].reshape(count, -1)
    for packed in (False, True):
        with path.open("wb") as file:
            np.savez_compressed(file, images) if packed else np.save(file, images)
        np.testing.assert_array_equal(read_rows([f"@{path}"], lambda: BOX), wanted)
    path.write_text(json.dumps(images.tolist()))
    np.testing.assert_array_equal(read_rows([f"@{path}", f"@{path}"], lambda: BOX), np.tile(wanted, (2, 1)))


def test_members_from_a_file(tmp_path: Path) -> None:
    """Dicts are read by their members' names: .npz has one or a batch, JSON one or a list."""
    path = tmp_path / "seen"
    with path.open("wb") as file:
        np.savez(file, camera=IMAGE, choice=np.array([-2, 4]))
    np.testing.assert_array_equal(read_rows([f"@{path}"], lambda: MIXED), MIXED_ROWS)
    with path.open("wb") as file:
        np.savez(file, choice=4, camera=IMAGE[1])
    np.testing.assert_array_equal(read_rows([f"@{path}"], lambda: MIXED), MIXED_ROWS[1:])
    seen = [
        {"camera": image.tolist(), "choice": choice} for image, choice in zip(IMAGE, (-2, 4), strict=True)
    ]
    path.write_text(json.dumps(seen))
    np.testing.assert_array_equal(read_rows([f"@{path}"], lambda: MIXED), MIXED_ROWS)
    written = json.dumps(seen[0])
    np.testing.assert_array_equal(read_rows([written, f"@{path}"], lambda: MIXED), MIXED_ROWS[[0, 0, 1]])


def test_nested_members_from_a_file(tmp_path: Path) -> None:
    """Parts of a Tuple are read by their indices, and nested parts after a dot."""
    names = {"arr_0": IMAGE[0], "1.0.camera": IMAGE[1], "1.0.choice": 3}
    np.savez(tmp_path / "nested.npz", **names)
    row = read_rows([f"@{tmp_path}/nested.npz"], lambda: TUPLE)
    np.testing.assert_array_equal(row, [[*IMAGE[0].reshape(-1), *IMAGE[1].reshape(-1), 3]])


@pytest.mark.parametrize("name", ["-", "@-"])
def test_from_a_pipe(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Stdin is read like a file."""
    content = io.BytesIO()
    np.save(content, IMAGE[0])
    content.seek(0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    np.testing.assert_array_equal(read_rows([name], lambda: BOX), IMAGE[:1].reshape(1, -1))


@pytest.mark.parametrize(
    ("space", "content", "line"),
    [
        (BOX, b"[1, 2", "Expecting"),
        (BOX, b"[[1, 2], [3]]", "rows of different lengths"),
        (BOX, b'["red"]', "observations: got shape (1,), expected (6, 5, 3)"),
        (BOX, b"\xff\xfe", "utf-8"),
        (BOX, b"PK\x03\x04", "not a zip file"),
        (BOX, b"\x93NUMPY", "magic"),
        (MIXED, b'{"camera": 1}', "observations.camera: got shape (), expected (6, 5, 3)"),
        (MIXED, b'[{"choice": 1}]', "observations.camera: got none (list), expected"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, space: Space, content: bytes, line: str) -> None:
    """The error names the file, and what in it does not fit the space."""
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument) as raised:
        read_rows([f"@{path}"], lambda: space)
    assert f"observations: got @{path}" in str(raised.value)
    assert line in str(raised.value)


def test_a_missing_file_and_pickles_are_refused(tmp_path: Path) -> None:
    """A missing file gives one line. Arrays of objects, which could run code, are not read.

    The error names the member.
    """
    with pytest.raises(InvalidArgument, match="expected a file to read"):
        read_rows([f"@{tmp_path}/none"], lambda: BOX)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InvalidArgument, match="allow_pickle"):
        read_rows([f"@{tmp_path}/objects.npy"], lambda: BOX)
    np.savez(tmp_path / "one.npz", camera=IMAGE[0])
    with pytest.raises(InvalidArgument, match=r"observations\.choice: got the arrays \['camera'\]"):
        read_rows([f"@{tmp_path}/one.npz"], lambda: MIXED)
    np.savez(tmp_path / "two.npz", camera=IMAGE[0], choice=1)
    with pytest.raises(InvalidArgument, match=r"got the arrays \['camera', 'choice'\], expected one array"):
        read_rows([f"@{tmp_path}/two.npz"], lambda: BOX)
