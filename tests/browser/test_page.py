"""The page in a real browser: every section, a retrain watched, roles, tabs, a restart, a phone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import LONG, Site

pytestmark = LONG

PATHS = [
    "/page",
    "/page/versions/small",
    "/page/versions/small/2",
    "/page/versions/small/2/promote",
    "/page/versions/small/roll-back/champion",
    "/page/jobs",
    "/page/retrain?policy=small",
    "/page/try/small",
    "/page/experience/small",
    "/page/experience/small/record",
    "/page/experience/small/canary",
    "/page/experience/small/canary/end",
    "/page/experience/small/shadow",
    "/page/experience/small/shadow/champion/end",
    "/page/no-such-policy",
]
OpenPage = Callable[..., Any]


def _axe() -> str:
    path = Path(os.environ.get("POLICYD_AXE", "node_modules/axe-core/axe.min.js"))
    return path.read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
def test_axe_finds_nothing(site: Site, open_page: OpenPage, scheme: str, width: int) -> None:
    """No section violates axe-core's rules, on a large and a small screen, by day and night."""
    # axe runs as a script of the test. The page's own policy would refuse it.
    page = open_page(site.url, bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 740})
    for path in PATHS[:-1]:
        page.goto(site.url + path)
        page.evaluate(_axe())
        found = page.evaluate("axe.run()")["violations"]
        said = [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found]
        assert not said, (path, said)
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(over) <= 0, f"{path} is wider than the screen"


def test_a_retrain_is_watched_to_its_end(site: Site, open_page: OpenPage) -> None:
    """The trainer's rules check the form. Curve, phases and outcome appear by themselves."""
    page = open_page(site.url)
    page.goto(f"{site.url}/page/retrain")
    page.get_by_label("Policy", exact=True).fill("learned")
    settings = page.get_by_label("Settings")
    settings.fill("gama=0.9")
    page.get_by_text("gama:").wait_for()
    settings.fill("total_timesteps=4000000\nevaluation_episodes=5\ncandidates=1")
    page.locator("[data-problem=settings]", has_text="gama").wait_for(state="detached")
    page.get_by_label("Why").fill("to see it learn")
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("heading", name="learned").wait_for()
    page.get_by_role("heading", name="Return as it learns").wait_for()
    page.get_by_text("succeeded").wait_for(timeout=200_000)
    page.get_by_role("link", name="Look at version 1").click()
    page.get_by_role("heading", name="learned version 1").wait_for()
    assert site.repository.aliases("learned").aliases["champion"] == 1


def test_a_job_is_cancelled_with_a_reason(site: Site, open_page: OpenPage) -> None:
    """A job is followed from the queue to its end, without reloading a page by hand."""
    page = open_page(site.url)
    page.goto(f"{site.url}/page/retrain")
    page.get_by_label("Policy", exact=True).fill("endless")
    page.get_by_label("Settings").fill("total_timesteps=100000000")
    page.get_by_label("Why").fill("to be cancelled")
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_label("Why").fill("it takes too long")
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_text("cancelled", exact=True).first.wait_for()
    job = page.url.rpartition("/")[2]
    told = page.request.get(f"{site.url}/v1/jobs/{job}").json()
    assert (told["state"], told["spec"]["policy"]) == ("CANCELLED", "endless")
    assert "it takes too long" in site.stack.server.log.read_text()  # the audit log, which has the reason


def test_two_tabs_see_the_same(site: Site, open_page: OpenPage) -> None:
    """One tab promotes and rolls back, and the other shows it. An outdated form changes nothing."""
    first, second = open_page(site.url), open_page(site.url, may_fail=True)
    first.goto(f"{site.url}/page/versions/small/2/promote")
    second.goto(f"{site.url}/page/versions/small/2/promote")
    first.get_by_label("Why").fill("measured in the field")
    first.get_by_role("button", name="Promote version 2").click()
    first.get_by_role("link", name="Roll back champion from version 2").wait_for()
    second.get_by_label("Why").fill("I was slower")
    second.get_by_role("button", name="Promote version 2").click()
    second.get_by_role("alert").wait_for()
    second.goto(f"{site.url}/page")
    second.get_by_text("measured in the field").wait_for()
    first.get_by_role("link", name="Roll back champion from version 2").click()
    first.get_by_label("Why").fill("it wobbles")
    first.get_by_role("button", name="Roll back").click()
    first.get_by_role("link", name="Roll back champion from version 1").wait_for()
    second.get_by_text("it wobbles").wait_for()
    reasons = [change.reason for change in site.repository.aliases("small").history[-2:]]
    assert reasons == ["measured in the field", "it wobbles"]


def test_sliders_move_the_probabilities(site: Site, open_page: OpenPage) -> None:
    """With the keyboard, a slider changes the JSON and the response. The receipt is verified."""
    page = open_page(site.url)
    page.goto(f"{site.url}/page/try/small")
    answer = page.locator("#answer td").first
    before = answer.inner_text()
    page.locator("#slider-0").focus()
    page.keyboard.press("End")
    page.wait_for_function("before => document.querySelector('#answer td').innerText !== before", arg=before)
    assert page.get_by_label("As JSON").input_value().startswith("[10,")
    page.get_by_role("button", name="Verify").click()
    page.locator("#verified .good").nth(2).wait_for()
    page.get_by_label("As JSON").fill("[1, 2]")
    page.get_by_text("observation: got 2 numbers").wait_for()


def test_an_open_page_outlives_a_restart(site: Site, open_page: OpenPage) -> None:
    """The page says that the server is away, and goes on when it is back."""
    page = open_page(site.url, may_fail=True)
    page.goto(f"{site.url}/page")
    page.locator("a[href='/page/versions/small/1']").wait_for()
    site.stack.server.stop()
    page.get_by_text("trying to connect again").wait_for()
    site.repository.set_alias("small", "champion", 2, actor="night", reason="while it was away")
    site.stack.start_server()
    page.get_by_text("while it was away").wait_for()
    page.wait_for_function("document.getElementById('notice').textContent === ''")
    site.repository.rollback_alias("small", "champion", actor="night", reason="back again")
    page.get_by_text("back again").wait_for()
    assert page.locator("a[href='/page/versions/small/1']").count() == 1
    assert "while it was away" not in page.locator("main").inner_text()


def test_roles_decide_what_can_be_pressed(guarded: Site, open_page: OpenPage) -> None:
    """A token is entered once. Without the role, buttons are disabled and say what they need."""
    page = open_page(guarded.url, may_fail=True)  # a wrong token gives a 401, which Chromium logs
    page.goto(f"{guarded.url}/page/versions/small")
    page.get_by_label("Token").fill("nobody")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    page.get_by_label("Token").fill("looker")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("looker").wait_for()
    page.goto(f"{guarded.url}/page/versions/small")
    assert page.get_by_role("button", name="Promote").first.is_disabled()
    assert page.get_by_role("button", name="Retrain").first.is_disabled()
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill("boss")
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{guarded.url}/page/versions/small")
    page.get_by_role("link", name="Promote").first.click()
    page.get_by_label("Why").fill("I may")
    page.get_by_role("button", name="Promote version 2").click()
    page.get_by_role("link", name="Roll back champion from version 2").wait_for()
    assert guarded.repository.aliases("small").history[-1].actor == "boss"


def test_without_scripts_everything_but_liveness_is_there(site: Site, open_page: OpenPage) -> None:
    """Without scripts every section is rendered by the server, and forms work."""
    page = open_page(site.url, java_script_enabled=False)
    for path in PATHS[:-1]:
        page.goto(site.url + path)
        assert page.get_by_role("heading", level=1).count() == 1, path
    page.goto(f"{site.url}/page/versions/small/2/promote")
    page.get_by_label("Why").fill("without a script")
    page.get_by_role("button", name="Promote version 2").click()
    page.get_by_role("link", name="Roll back champion from version 2").wait_for()
    assert site.repository.aliases("small").history[-1].reason == "without a script"
    site.repository.rollback_alias("small", "champion", actor="test", reason="as it was")
