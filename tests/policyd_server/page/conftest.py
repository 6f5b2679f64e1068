"""A server with its page and three callers, on a repository whose every text tries to be markup."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from policy_api.v1.gate_pb2 import GateVerdict
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.http.conftest import Answer, Client, http_url
from tests.policyd_server.process import ServerProcess

ATTACK = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>"
CURVE = (
    b'[{"env_steps": 1, "scalars": {"rollout/ep_rew_mean": 1}},'
    b' {"env_steps": 2, "scalars": {"rollout/ep_rew_mean": 3}}, "nonsense"]'
)
ROLES = {"looker": ["act"], "learner": ["act", "train"], "boss": ["act", "train", "admin"]}


class Browser:
    """Keeps cookies and sends forms, like a browser without scripts."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Answer:
        """Gets a page."""
        return self._keep(self.client.ask("GET", path, headers={"cookie": self._cookie()}))

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Sends a form, with the token of the page that it is on."""
        whole = {"csrf": self.cookies.get("policyd_csrf", ""), **fields}
        told = {"cookie": self._cookie(), "content-type": "application/x-www-form-urlencoded", **headers}
        return self._keep(self.client.ask("POST", path, urlencode(whole), told))

    def sign_in(self, name: str) -> Answer:
        """Enters the caller's token."""
        self.get("/page/sign-in")
        return self.post("/page/sign-in", {"token": f"token-of-{name}", "next": "/page/jobs"})

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _keep(self, answer: Answer) -> Answer:
        if (found := re.match(r"(\w+)=([^;]*)", answer.headers.get("set-cookie", ""))) is not None:
            self.cookies[found[1]] = found[2]
        return answer


def publish(repository: ModelRepository, policy: str = "cartpole") -> None:
    """Two versions whose names, settings, verdict, files and reasons have hostile texts."""
    for seed in range(2):
        described = artifacts.metadata(policy)
        described.settings["note"] = f"{ATTACK}{seed}"
        described.git_commit = ATTACK
        described.packages["torch"] = ATTACK
        described.evaluation.greedy.episodes = 3
        described.evaluation.greedy.mean = 10.0 * (seed + 1)
        files: dict[str, Path | bytes] = {
            "model.onnx": artifacts.model(described, seed=seed),
            "learning_curve.json": CURVE,
        }
        repository.publish(policy, files, metadata=described, job_id=f"{ATTACK}{seed}")
    repository.add_files(policy, 1, {"report.html": ATTACK.encode(), "notes.svg": ATTACK.encode()})
    verdict = GateVerdict(explanation=ATTACK, promote=True, outcome=GateVerdict.OUTCOME_BETTER, episodes=3)
    verdict.champion_version, verdict.difference.high = 1, 2.0
    repository.add_verdict(policy, 2, verdict)
    repository.set_alias(policy, "champion", 1, actor=ATTACK, reason=ATTACK)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    made = ModelRepository(tmp_path_factory.mktemp("page") / "repository")
    publish(made)
    return made


@pytest.fixture
def policy(repository: ModelRepository) -> str:
    """A policy of the test alone, for tests that change aliases or traffic."""
    name = f"own-{len(repository.policies())}"
    publish(repository, name)
    return name


class Elements(HTMLParser):
    """The elements of a page with their attributes, as a browser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, set[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes one element."""
        self.seen.append((tag, {name for name, _ in attrs}))

    def check(self) -> None:
        """Checks that only the page's own script runs, and that no text became an element."""
        assert [names for tag, names in self.seen if tag == "script"] in ([], [{"src", "defer"}])
        assert not any(name.startswith("on") or name == "style" for _, names in self.seen for name in names)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture(scope="module")
def server(repository: ModelRepository) -> Iterator[ServerProcess]:
    """A server that knows three callers, without a trainer."""
    folder = repository.root.parent
    callers = [
        {"name": name, "roles": roles, "token_sha256": _digest(f"token-of-{name}")}
        for name, roles in ROLES.items()
    ]
    (folder / "callers.yaml").write_text(yaml.safe_dump({"callers": callers}))
    flags = ["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--callers", str(folder / "callers.yaml")]
    started = ServerProcess(folder, repository.root, *flags)
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.log


@pytest.fixture
def browser(server: ServerProcess) -> Browser:
    """A browser that is not signed in."""
    return Browser(Client(http_url(server)))


@pytest.fixture
def signed_in(browser: Browser, request: pytest.FixtureRequest) -> Browser:
    """A browser signed in as the caller that the test names, or as the boss."""
    browser.sign_in(getattr(request, "param", "boss"))
    return browser
