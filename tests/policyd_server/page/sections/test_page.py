"""The page over HTTP: who may look and change, what stays text, what browsers refuse."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from policyd import Credentials, PolicyClient
from policyd.repository import ModelRepository
from policyd.version import __version__
from policyd_server.page.rendering import SECTIONS
from tests.policyd_server.page.conftest import ATTACK, Browser, Elements
from tests.policyd_server.process import ServerProcess
from tests.waiting import until

PAGES = [
    "/page",
    "/page/versions/cartpole",
    "/page/versions/cartpole/2",
    "/page/versions/cartpole/2/promote",
    "/page/versions/cartpole/roll-back/champion",
    "/page/try/cartpole",
    "/page/experience/cartpole",
    "/page/experience/cartpole/record",
    "/page/experience/cartpole/canary",
    "/page/experience/cartpole/canary/end",
    "/page/experience/cartpole/shadow",
    "/page/experience/cartpole/shadow/champion/end",
    "/page/retrain?policy=cartpole",
]
WITHOUT_TRAINER = ["/page/jobs", "/page/jobs/some-job", "/page/jobs/some-job/cancel"]


def _form(html: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None, html
    return unescape(found[1])


class _Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, set[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes one element."""
        self.seen.append((tag, {name for name, _ in attrs}))


@pytest.mark.parametrize("path", [*PAGES, *WITHOUT_TRAINER])
def test_a_stranger_is_asked_for_a_token(browser: Browser, path: str) -> None:
    """Nothing is shown without a token. After signing in, the browser returns to its page."""
    answer = browser.get(path)
    assert answer.status == 303
    assert answer.headers["location"] == "/page/sign-in?next=" + path.partition("?")[0]


def test_the_token_is_out_of_reach(browser: Browser) -> None:
    """Scripts cannot read the cookie, and other sites do not send it. A wrong token is refused."""
    browser.get("/page/sign-in")
    refused = browser.post("/page/sign-in", {"token": "wrong"})
    assert refused.status == 401
    assert "set-cookie" not in refused.headers
    answer = browser.sign_in("boss")
    assert answer.status == 303
    assert answer.headers["location"] == "/page/jobs"
    assert {"HttpOnly", "SameSite=strict", "Path=/page"} <= set(answer.headers["set-cookie"].split("; "))
    assert browser.post("/page/sign-out", {}).status == 303
    assert browser.get("/page").status == 303


@pytest.mark.parametrize("back", ["https://example.org/", "//example.org", "/page\\..\\evil", "/v1/policies"])
def test_signing_in_leads_nowhere_else(browser: Browser, back: str) -> None:
    """Whatever the link says, the browser stays on this server."""
    browser.get("/page/sign-in")
    answer = browser.post("/page/sign-in", {"token": "token-of-boss", "next": back})
    assert answer.headers["location"] == "/page"


@pytest.mark.parametrize("path", PAGES)
def test_no_text_is_markup(signed_in: Browser, path: str) -> None:
    """Names, reasons, settings, verdicts and digests are shown as text, whatever they contain."""
    answer = signed_in.get(path)
    elements = _Elements()
    elements.feed(answer.body.decode())
    assert answer.status == 200
    assert [names for tag, names in elements.seen if tag == "script"] == [{"src", "defer"}]
    assert not [tag for tag, names in elements.seen if tag == "img" and "onerror" in names]
    assert not any(name.startswith("on") or name == "style" for _, names in elements.seen for name in names)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_hides_nothing_of_its_frame(signed_in: Browser, path: str) -> None:
    """What a page shows has names of its own: the program's version and the sections stay."""
    html = signed_in.get(path).body.decode()
    assert f"<footer>policyd {__version__}</footer>" in html
    assert all(f">{name}</a>" in html for _, name in SECTIONS)


def test_what_attacks_is_there_as_text(signed_in: Browser) -> None:
    """The texts are shown, and not left out."""
    for path in ("/page", "/page/versions/cartpole/2"):
        assert ATTACK in unescape(signed_in.get(path).body.decode())


@pytest.mark.parametrize("path", ["/page", "/page/sign-in", "/page/nothing", "/page/versions/nobody"])
def test_browsers_are_told_to_refuse(signed_in: Browser, path: str) -> None:
    """Headers forbid inline code and styles, other hosts, frames, and guessing of types."""
    answer = signed_in.get(path)
    if answer.status == 404 and "content-security-policy" not in answer.headers:
        assert answer.headers["content-type"] == "application/json"  # for a route that does not exist
        return
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_are_enclosed(signed_in: Browser) -> None:
    """A report runs and fetches nothing. Files other than pictures and reports are downloaded."""
    report = signed_in.get("/page/files/cartpole/1/report.html")
    assert report.body.decode() == ATTACK
    assert "sandbox" in report.headers["content-security-policy"]
    assert "script-src" not in report.headers["content-security-policy"]
    drawing = signed_in.get("/page/files/cartpole/1/notes.svg")
    assert drawing.headers["content-disposition"].startswith("attachment")
    assert drawing.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "name", ["..%2f..%2faliases%2fcartpole.json", "%2fetc%2fpasswd", "../2/model.onnx", "no-such", "%00"]
)
def test_files_are_those_of_the_version(signed_in: Browser, name: str) -> None:
    """No file outside a version's files can be read."""
    assert signed_in.get(f"/page/files/cartpole/1/{name}").status in (400, 404)


@pytest.mark.parametrize("signed_in", ["looker"], indirect=True)
def test_without_the_role_buttons_do_nothing(signed_in: Browser, repository: ModelRepository) -> None:
    """The buttons are disabled and say why. The service refuses the form as well."""
    html = signed_in.get("/page/versions/cartpole").body.decode()
    assert re.search(r'<button[^>]* disabled title="This needs the role admin.">Promote', html)
    assert "/promote" not in html
    place = "/page/versions/cartpole/2/promote"
    form = signed_in.get(place).body.decode()
    fields = {"alias": "champion", "reason": "mine", "generation": _form(form, "generation")}
    answer = signed_in.post(place, fields)
    assert answer.status == 403
    assert "lacks the role admin" in answer.body.decode()
    assert repository.aliases("cartpole").aliases["champion"] == 1
    assert signed_in.get("/page/files/cartpole/1/model.onnx").status == 403


def test_a_forged_form_is_refused(signed_in: Browser, repository: ModelRepository) -> None:
    """Without the page's own token, with another one, or from another site nothing changes."""
    place = "/page/versions/cartpole/2/promote"
    generation = _form(signed_in.get(place).body.decode(), "generation")
    fields = {"alias": "champion", "reason": "forged", "generation": generation}
    assert signed_in.post(place, {**fields, "csrf": ""}).status == 403
    assert signed_in.post(place, {**fields, "csrf": "guessed"}).status == 403
    assert signed_in.post(place, fields, origin="https://example.org").status == 403
    assert signed_in.post(place, fields, **{"sec-fetch-site": "cross-site"}).status == 403
    assert repository.aliases("cartpole").aliases["champion"] == 1


def test_promote_and_roll_back_ask_why(
    signed_in: Browser, repository: ModelRepository, server: ServerProcess, policy: str
) -> None:
    """A reason is required. History and audit log have it, with the authenticated name."""
    place, back = f"/page/versions/{policy}/2/promote", f"/page/versions/{policy}/roll-back/champion"
    fields = {"alias": "champion", "generation": _form(signed_in.get(place).body.decode(), "generation")}
    refused = signed_in.post(place, {**fields, "reason": " "})
    assert refused.status == 400
    assert "expected a sentence that says why" in unescape(refused.body.decode())
    assert signed_in.post(place, {**fields, "reason": "better in the field"}).status == 303
    state = repository.aliases(policy)
    assert state.aliases["champion"] == 2
    assert (state.history[-1].actor, state.history[-1].reason) == ("boss", "better in the field")
    assert "better in the field" in server.log
    stale = signed_in.post(place, {**fields, "reason": "again"})
    assert stale.status == 409
    fields["generation"] = _form(signed_in.get(back).body.decode(), "generation")
    assert signed_in.post(back, {**fields, "reason": "it wobbles"}).status == 303
    assert repository.aliases(policy).aliases["champion"] == 1


def test_trying_answers_with_a_receipt_that_holds(signed_in: Browser) -> None:
    """Versions are side by side, the receipt is verified, and nonsense gives a message."""
    fields = {"observation": "[0.1, 0, 0.02, -0.3]", "seed": "7", "version": "1", "with_2": "on"}
    html = signed_in.post("/page/try/cartpole/act", fields).body.decode()
    assert html.count('class="bar series-') == 4
    receipt = _form(html, "receipt")
    assert json.loads(receipt)["version"] == 1
    verified = signed_in.post("/page/try/cartpole/verify", {"receipt": receipt}).body.decode()
    assert verified.count("<li>") == verified.count(">holds<") == 3
    forged = json.dumps({**json.loads(receipt), "seed": 8, "digest": "0" * 64})
    assert "does not hold" in signed_in.post("/page/try/cartpole/verify", {"receipt": forged}).body.decode()
    for wrong in ("[1, 2]", ATTACK, "[NaN, 0, 0, 0]", "1" * 100_000, "[[[[[" * 1000):
        html = signed_in.post("/page/try/cartpole/act", {**fields, "observation": wrong}).body.decode()
        assert 'class="problem"' in html
        assert "<script" not in html
    for wrong in ("0" * 5000, "0" * 21 + "9" * 30, "x"):
        html = signed_in.post("/page/try/cartpole/act", {**fields, "seed": wrong}).body.decode()
        assert "expected a whole number" in html


def test_a_retraining_needs_a_trainer(signed_in: Browser) -> None:
    """Without a trainer the form stays as it was filled in, and says what is wrong."""
    signed_in.get("/page/retrain")
    fields = {"policy": "p", "env_id": "E", "algorithm": "a2c", "seed": "1", "settings": "gamma=0.9"}
    answer = signed_in.post("/page/retrain", {**fields, "reason": ATTACK})
    assert answer.status == 503
    assert "the trainer cannot be reached" in answer.body.decode()
    assert "gamma=0.9" in answer.body.decode()
    assert ATTACK in unescape(answer.body.decode())
    checked = signed_in.post("/page/retrain/check", {**fields, "settings": "gamma"})
    assert checked.json["problems"] == {"settings": "got 'gamma', expected KEY=VALUE, one per line"}
    for wrong in ("0" * 5000, "0" * 21 + "9" * 30, "x"):
        checked = signed_in.post("/page/retrain/check", {**fields, "seed": wrong})
        assert "expected a whole number" in checked.json["problems"]["seed"]


def test_a_canary_needs_a_share_and_a_reason(signed_in: Browser) -> None:
    """The form says what is wrong and keeps what was typed. Nothing starts."""
    place = "/page/experience/cartpole/canary"
    fields = {"alias": "champion", "version": "2", "share": "5", "up_to": "50", "reason": "try it"}
    fields["generation"] = _form(signed_in.get(place).body.decode(), "generation")
    for wrong in ({"share": ATTACK}, {"share": "0"}, {"up_to": "101"}, {"reason": ""}, {"version": "x"}):
        answer = signed_in.post(place, {**fields, **wrong})
        assert answer.status == 400
        assert 'role="alert"' in answer.body.decode()
        assert "<script>document" not in answer.body.decode()
    assert signed_in.post(f"{place}/end", {"reason": "no canary runs"}).status == 400


def test_the_stream_begins_with_everything(signed_in: Browser) -> None:
    """The first events have all live parts. A caller that is not signed in gets no stream."""
    connection = signed_in.client.connection()
    connection.request(
        "GET", "/page/live/now", headers={"cookie": f"policyd_token={signed_in.cookies['policyd_token']}"}
    )
    response = connection.getresponse()
    assert response.getheader("content-type", "").startswith("text/event-stream")
    lines = iter(lambda: response.readline().decode().rstrip(), None)
    part = json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))
    assert part["id"] == "now"
    assert "cartpole" in part["html"]
    connection.close()
    assert signed_in.client.ask("GET", "/page/live/now").status == 401


def test_a_shadow_is_shown_with_its_figures(signed_in: Browser, server: ServerProcess, policy: str) -> None:
    """At first there is none. Then the page shows which version is compared, and the result."""
    place = f"/page/experience/{policy}"
    assert 'id="shadow-1"' not in signed_in.get(place).body.decode()
    boss = Credentials(token="token-of-boss")
    with PolicyClient(server.address, timeout=60, credentials=boss) as client:
        client.set_shadow(policy, 2, 1.0, reason=ATTACK)
        client.act([[0.0] * 4], policy=policy)
    html = _until_it_says("Same most probable action", signed_in, place)
    assert "Version 2 beside version 1 for champion" in html
    assert "100% of its requests" in html
    assert "Version 2" in html
    Elements(html).check()


def test_a_shadow_starts_and_ends_by_its_forms(
    signed_in: Browser, repository: ModelRepository, policy: str
) -> None:
    """The form says what is wrong. The history has who and why, and then nothing computes."""
    overview = f"/page/experience/{policy}"
    place, end = f"{overview}/shadow", f"{overview}/shadow/champion/end"
    assert place in signed_in.get(overview).body.decode()
    fields = {"alias": "champion", "version": "2", "share": "25", "reason": "does it agree?"}
    fields["generation"] = _form(signed_in.get(place).body.decode(), "generation")
    for wrong in ({"share": ATTACK}, {"share": "0"}, {"reason": ""}, {"version": "x"}, {"version": "1"}):
        answer = signed_in.post(place, {**fields, **wrong})
        assert answer.status == 400
        assert 'role="alert"' in answer.body.decode()
    assert signed_in.post(place, fields).status == 303
    (started,) = repository.traffic(policy).shadows
    assert (started.alias, started.version, started.share) == ("champion", 2, 0.25)
    assert signed_in.post(place, fields).status == 409  # another caller was faster
    Elements(_until_it_says(end, signed_in, overview)).check()  # the process of shadows may still start
    asked = signed_in.get(end).body.decode()
    assert "Version 2 will no longer compute beside champion" in asked
    fields = {"reason": "seen enough", "generation": _form(asked, "generation")}
    assert signed_in.post(end, {**fields, "reason": " "}).status == 400
    assert signed_in.post(end, fields).status == 303
    found = repository.traffic(policy)
    assert not found.shadows
    assert [(change.actor, change.reason) for change in found.history[-2:]] == [
        ("boss", "does it agree?"),
        ("boss", "seen enough"),
    ]
    assert end not in signed_in.get(overview).body.decode()


@pytest.mark.parametrize("signed_in", ["looker"], indirect=True)
def test_without_the_role_no_shadow_starts(signed_in: Browser, repository: ModelRepository) -> None:
    """The button says why, and the service refuses the form as well."""
    place = "/page/experience/cartpole/shadow"
    asked = signed_in.get(place).body.decode()
    assert re.search(r'<button[^>]* disabled title="This needs the role admin.">Start the shadow', asked)
    fields = {"alias": "champion", "version": "2", "share": "5", "reason": "mine"}
    fields["generation"] = _form(asked, "generation")
    assert signed_in.post(place, fields).status == 403
    assert not repository.traffic("cartpole").shadows


def test_metrics_on_any_free_port_are_found(signed_in: Browser) -> None:
    """The page reads them at their port, and shows rates after two readings."""
    html = _until_it_says("requests per second", signed_in, "/page")
    assert "Rates, latency and drift" not in html


def _until_it_says(words: str, browser: Browser, place: str) -> str:
    """The page at this place as soon as it has these words."""
    until(lambda: words in browser.get(place).body.decode(), browser.get(place).body.decode)
    return browser.get(place).body.decode()
