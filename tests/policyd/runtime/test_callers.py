"""Callers: what the file may say, and that it is followed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from policyd.errors import FailedPrecondition
from policyd.runtime import callers
from policyd.runtime.callers import Callers, Role

TOKEN = "t-" + "a" * 40


def entry(token: str = TOKEN, name: str = "ci", roles: str = "[act, train]") -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f"  - {{name: {name}, roles: {roles}, token_sha256: {digest}}}\n"


def write(path: Path, *entries: str) -> Path:
    path.write_text("callers:\n" + "".join(entries))
    return path


def test_a_token_names_its_caller_and_a_wrong_one_names_nobody(tmp_path: Path) -> None:
    """The digest decides. The file never has the token."""
    known = Callers(write(tmp_path / "callers.yaml", entry(), entry("other", "ops", "[admin]")))
    caller = known.by_token(TOKEN)
    assert caller is not None
    assert caller.name == "ci"
    assert caller.roles == frozenset({Role.ACT, Role.TRAIN})
    assert known.by_token(TOKEN + "x") is None
    assert known.by_token("") is None


def test_a_certificate_names_its_caller(tmp_path: Path) -> None:
    """The common name decides. A caller without a certificate does not match an empty one."""
    path = write(
        tmp_path / "c.yaml", "  - {name: server, roles: [train], certificate: policyd-server}\n", entry()
    )
    known = Callers(path)
    caller = known.by_certificate("policyd-server")
    assert caller is not None
    assert caller.name == "server"
    assert known.by_certificate("stranger") is None
    assert known.by_token("") is None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("  - {name: ci, roles: [act], token_sha256: not-a-digest}\n", "callers.0.token_sha256"),
        ("  - {name: ci, roles: [act]}\n", "token_sha256 or certificate"),
        ("  - {name: ci, roles: [king], certificate: x}\n", "callers.0.roles"),
        ("  - {name: ci, roles: [], certificate: x}\n", "callers.0.roles"),
        ("  - {name: ci, roles: [act], certificate: x, token: secret-word}\n", "callers.0.token"),
        ("  - {name: [\n", "YAML|Error"),
    ],
)
def test_a_wrong_entry_is_named_and_its_content_is_not(tmp_path: Path, line: str, fault: str) -> None:
    """The error names the field but not its content, which may have been a token."""
    with pytest.raises(FailedPrecondition, match=fault) as raised:
        Callers(write(tmp_path / "callers.yaml", line))
    assert "not-a-digest" not in raised.value.message
    assert "secret-word" not in raised.value.message


def test_a_changed_file_counts_and_a_broken_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are rotated without a restart. A file with a mistake locks nobody out."""
    monkeypatch.setattr(callers, "POLL", 0.0)
    path = write(tmp_path / "callers.yaml", entry())
    known = Callers(path)
    write(tmp_path / "new", entry("fresh")).replace(path)
    assert known.by_token(TOKEN) is None
    assert known.by_token("fresh") is not None
    write(tmp_path / "new", "  - nonsense\n").replace(path)
    assert known.by_token("fresh") is not None
