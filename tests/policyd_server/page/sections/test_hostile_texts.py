"""Jobs, logs and forms whose every text tries to be markup: on pages, in streams, in errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest

from policy_api.v1 import training_pb2 as pb
from policyd.repository import ModelRepository
from tests.policyd_server.http.conftest import Client, http_url
from tests.policyd_server.http.trainer import Trainer
from tests.policyd_server.page.conftest import ATTACK, Browser, Elements, publish
from tests.policyd_server.process import ServerProcess

CONTROL = "\x1b[31m\u202e\x07"  # colours a terminal, reverses text, rings a bell
JOBS = {
    "running": pb.TrainingJob.RUNNING,
    "failed": pb.TrainingJob.FAILED,
    "ends": pb.TrainingJob.RUNNING,  # until a test cancels it
}


def _hostile(job_id: str, state: pb.TrainingJob.State.ValueType) -> pb.TrainingJob:
    """A job with the text in every field that is shown."""
    spec = pb.TrainingSpec(policy=ATTACK, env_id=ATTACK, algorithm=ATTACK, settings={ATTACK: ATTACK})
    job = pb.TrainingJob(job_id=job_id, spec=spec, state=state, attempts=1)
    job.progress.env_steps, job.progress.total_env_steps = 10, 100
    if state == pb.TrainingJob.FAILED:
        job.failure.message, job.failure.reason = ATTACK + CONTROL, ATTACK
        job.failure.log_tail.append(ATTACK)
    job.create_time.FromSeconds(1_700_000_000)
    return job


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser of a server without callers, whose trainer has hostile jobs."""
    folder = tmp_path_factory.mktemp("hostile")
    repository = ModelRepository(folder / "repository")
    publish(repository)
    trainer = Trainer()
    for name, state in JOBS.items():
        trainer.jobs[name] = _hostile(name, state)
    flags = ["--http", "127.0.0.1:0", "--trainer", trainer.address]
    server = ServerProcess(folder, Path(repository.root), *flags)
    yield Browser(Client(http_url(server)))
    trainer.stop()
    assert server.stop() == 0
    assert "Traceback" not in server.log


PAGES = ["/page", "/page/jobs", *(f"/page/jobs/{name}" for name in JOBS), "/page/jobs/running/cancel"]


@pytest.mark.parametrize("path", PAGES)
def test_texts_of_jobs_are_no_markup(browser: Browser, path: str) -> None:
    """Policy, environment, settings, failure and log are shown as plain text."""
    answer = browser.get(path)
    assert answer.status == 200
    html = answer.body.decode()
    Elements(html).check()
    assert ATTACK in unescape(html)


def test_control_characters_are_written_out(browser: Browser) -> None:
    """Nothing changes the direction of the page's text."""
    html = browser.get("/page/jobs/failed").body.decode()
    assert not set(CONTROL) & set(html) - set("[31m")
    assert r"\x1b[31m\u202e\x07" in html


@pytest.mark.parametrize("path", ["/page/live/now", "/page/live/jobs", "/page/live/jobs/failed"])
def test_streams_carry_no_markup_either(browser: Browser, path: str) -> None:
    """What a stream sends becomes part of the page, so it is escaped before it is sent."""
    connection = browser.client.connection()
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200
    found = ""
    while ATTACK not in unescape(found):
        line = response.readline().decode()
        assert line, "the stream ended"
        if line.startswith("data: "):
            part = json.loads(line.removeprefix("data: "))
            found += part["html"]
            Elements(part["html"]).check()
    connection.close()


FIELDS = ("policy", "env_id", "algorithm", "seed", "settings", "reason", "alias", "version", "share", "up_to")
FORMS = [
    "/page/retrain",
    "/page/try/cartpole",
    "/page/versions/cartpole/2/promote",
    "/page/versions/cartpole/roll-back/champion",
    "/page/experience/cartpole/record",
    "/page/experience/cartpole/canary",
    "/page/experience/cartpole/canary/end",
    "/page/jobs/ends/cancel",
    "/page/sign-in",
]


@pytest.mark.parametrize("path", FORMS)
def test_what_is_typed_comes_back_as_text(browser: Browser, path: str) -> None:
    """With the text in every field of a form, the response is a page, or a redirect to one.

    The redirect stays on this server.
    """
    browser.get(path)
    typed = dict.fromkeys((*FIELDS, "mode", "generation", "observation", "versions", "token", "next"), ATTACK)
    answer = browser.post(path, typed)
    assert answer.status < 500
    Elements(answer.body.decode()).check()
    assert answer.headers.get("location", "/page").startswith("/page")


@pytest.mark.parametrize(
    "path",
    [
        f"/page/versions/{quote(ATTACK, safe='')}",
        f"/page/jobs/{quote(ATTACK, safe='')}",
        f"/page/retrain?policy={quote(ATTACK)}",
        f"/page/try/{quote(ATTACK, safe='')}",
        f"/page/sign-in?next={quote(ATTACK)}",
        "/page/static/..%2fpage.py",
        "/page/static/%2e%2e/routes.py",
        "/v1/policies/..%2f..%2fetc/versions/1/files/passwd",
        "/v1/policies/cartpole/versions/1/files/..%2f..%2f..%2faliases%2fcartpole.json",
    ],
)
def test_odd_names_in_an_address(browser: Browser, path: str) -> None:
    """Odd names are texts in an error page or a form, and lead to no file."""
    answer = browser.get(path)
    assert answer.status in (200, 303, 400, 404)
    if answer.headers.get("content-type", "").startswith("text/html"):
        Elements(answer.body.decode()).check()
    assert b"import " not in answer.body
    assert b'generation":' not in answer.body
