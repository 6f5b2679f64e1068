"""The job table of a system on Ray: in Postgres, where that is installed."""

from __future__ import annotations

import pytest

from tests.policyd_trainer.jobs.postgres import Postgres, find_binaries, postgres

__all__ = ["postgres"]  # a fixture of another folder


@pytest.fixture(scope="module")
def jobs_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database. Empty: the system's own file."""
    if find_binaries() is None:
        return ""
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()
