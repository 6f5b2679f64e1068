"""The short crash matrix: kill -9 at each phase of a job.

`make soak` runs every victim at every phase.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.crash.matrix import trial
from tests.e2e.crash.system import System
from tests.s3 import S3Server

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("crash"))
    yield system
    system.close()


@pytest.fixture(scope="module")
def s3_system(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("crash-s3"), s3.location())
    yield system
    system.close()


@pytest.mark.parametrize(
    ("victim", "phase"),
    [
        ("trainer", "QUEUED"),
        ("worker", "TRAINING"),
        ("server", "EVALUATING"),
        ("everything", "EXPORTING"),
        ("worker", "COMPARING"),
        ("trainer", "PUBLISHING"),
        ("everything", "PROMOTING"),
    ],
)
def test_a_job_survives(system: System, victim: str, phase: str) -> None:
    """The job ends with exactly one version, promoted once, and the server responds with it."""
    outcome = trial(system, victim, phase)
    assert outcome.wrong == (), outcome


@pytest.mark.parametrize(
    ("victim", "phase"),
    [("worker", "TRAINING"), ("worker", "PUBLISHING"), ("trainer", "COMPARING"), ("everything", "PROMOTING")],
)
def test_a_job_survives_on_s3(s3_system: System, victim: str, phase: str) -> None:
    """The same holds with the repository in object storage."""
    outcome = trial(s3_system, victim, phase)
    assert outcome.wrong == (), outcome
