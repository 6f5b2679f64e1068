"""A canary in a real browser: started by its form, and watched until it has lost its share."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from policy_api.v1 import experience_pb2, policy_pb2, policy_pb2_grpc, traffic_pb2
from policyd import PolicyClient
from tests.browser.conftest import LONG, Site

pytestmark = LONG
WORSE = -3.0  # return of version 2 minus that of version 1, in standard deviations


@contextmanager
def _clients(address: str) -> Iterator[None]:
    """Plays episodes of one step until the end of the block."""
    stop = threading.Event()
    failures: list[Exception] = []

    def play() -> None:
        rng = np.random.default_rng(0)
        try:
            with grpc.insecure_channel(address) as channel, PolicyClient(address, timeout=60) as client:
                stub = policy_pb2_grpc.PolicyServiceStub(channel)
                while not stop.is_set():
                    episode = str(uuid.uuid4())
                    request = policy_pb2.ActRequest(
                        policy="small",
                        observations=policy_pb2.FloatArray(raw=bytes(16)),
                        decisions=[policy_pb2.Decision(episode_id=episode)],
                    )
                    version = stub.Act(request, timeout=60).version
                    reward = rng.normal(WORSE * (version == 2), 1)
                    end = experience_pb2.TERMINATED
                    outcome = experience_pb2.Outcome(episode_id=episode, reward=reward, end=end)
                    client.report_outcomes([outcome], policy="small")
        except Exception as error:  # noqa: BLE001  raised at the end of the block
            failures.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures


def test_a_canary_is_watched_until_it_has_lost_its_share(site: Site, open_page: Callable[..., Any]) -> None:
    """Forms start recording and a canary. Counts, interval and verdict appear by themselves."""
    page = open_page(site.url)
    place = f"{site.url}/page/experience/small"
    page.goto(f"{place}/record")
    page.get_by_label("Mode").select_option("RECORD")
    page.get_by_label("Why").fill("to compare them")
    page.get_by_role("button", name="Change it").click()
    page.get_by_role("link", name="Start a canary").click()
    page.get_by_label("Version").select_option("2")
    page.get_by_label("Share at first, per cent").fill("30")
    page.get_by_label("Why").fill("it looked better in training")
    page.get_by_role("button", name="Start the canary").click()
    canary = page.locator("section[aria-labelledby=canary]")
    canary.get_by_text("running", exact=True).wait_for()
    assert "it looked better in training" in canary.inner_text()
    address = page.url
    loads: list[str] = []
    page.on("load", lambda: loads.append(page.url))
    with _clients(site.stack.server_address):
        canary.get_by_text("rolled back", exact=True).wait_for(timeout=120_000)
        canary.locator("svg").wait_for()
    assert page.url == address
    assert not loads  # it appeared without a reload
    assert "mean return differs by -" in canary.inner_text()
    with PolicyClient(site.stack.server_address, timeout=60) as client:
        found = client.get_traffic("small").canary
        assert found.state == traffic_pb2.Canary.ROLLED_BACK
        assert found.actor_reason == "it looked better in training"
        assert client.get_policy("small").aliases[0].version == 1
