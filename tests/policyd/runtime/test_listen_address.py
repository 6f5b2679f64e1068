"""Where a process may listen, and what it may serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.runtime import listen_address


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"])
def test_loopback_needs_nothing(address: str) -> None:
    """An address on loopback needs no TLS, because only this machine can reach it."""
    assert listen_address.is_loopback(address)
    listen_address.check(address, tls=False, insecure=False)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "*:1"])
def test_elsewhere_needs_tls_or_an_explicit_word(address: str) -> None:
    """An address that is not certainly loopback is refused without TLS or --insecure."""
    with pytest.raises(FailedPrecondition, match="--insecure") as raised:
        listen_address.check(address, tls=False, insecure=False)
    assert raised.value.reason == "INSECURE_LISTEN"
    listen_address.check(address, tls=True, insecure=False)
    listen_address.check(address, tls=False, insecure=True)


@pytest.mark.parametrize(
    "address", ["", "localhost", ":1", "localhost:http", "localhost:65536", "localhost:" + "9" * 5000]
)
def test_what_is_no_address_is_an_error(address: str) -> None:
    """The error names the setting."""
    with pytest.raises(InvalidArgument, match="listen"):
        listen_address.check(address, tls=False, insecure=False)


@pytest.mark.parametrize(
    "command",
    ["policyd_server", "policyd_trainer serve", "policyd_trainer train --policy p --env CartPole-v1"],
)
def test_a_repository_that_is_a_file_is_refused_at_the_start(command: str, tmp_path: Path) -> None:
    """One line names the option and the file, and nothing is listened on."""
    file = tmp_path / "file"
    file.touch()
    whole = [sys.executable, "-m", *command.split(), "--repository", str(file)]
    ended = subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "Invalid value for '--repository'" in ended.stderr
    assert f"{file} is a file, expected a folder" in ended.stderr


def test_a_path_that_is_too_long_is_named() -> None:
    """The kernel takes 107 bytes. More are refused in these words, not as a taken address."""
    listen_address.check("unix:/" + "é" * 53, tls=False, insecure=False)
    with pytest.raises(InvalidArgument, match=r"path of 109 bytes, expected at most 107"):
        listen_address.check("unix:/" + "é" * 54, tls=False, insecure=False)
