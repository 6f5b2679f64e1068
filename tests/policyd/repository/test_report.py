"""What is added to a version's report after it was drawn: how its canary went."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from policy_api.v1.traffic_pb2 import Canary, CanaryArm, Traffic
from policyd.repository import ModelRepository
from policyd.repository.canary_section import LEFT, picture, section, with_canary
from policyd.repository.report import REPORT, add_canary, with_last_canary
from tests.policyd_server import artifacts

ATTACK = "<script>alert(1)</script>\"'"
HTML = "<html><body><main><h1>Report</h1>\n</main>\n</body></html>"


def canary(points: int, seconds: int = 1) -> Canary:
    """A canary that was rolled back, with `points` looks that had an interval, and one before."""
    made = Canary(state=Canary.ROLLED_BACK, alias="champion", version=2, base_version=1, reason=ATTACK)
    made.actor, made.actor_reason = "ada", ATTACK
    made.start_time.seconds, made.end_time.seconds = seconds, seconds + 60
    made.champion.MergeFrom(CanaryArm(episodes=90, reported=88, mean_return=12.5, std_return=2.25))
    made.points.add(episodes=1, difference=-9)
    for look in range(1, points + 1):
        width = 8 / look
        made.points.add(episodes=10 * look, share=0.1, difference=-1, low=-1 - width, high=-1 + width)
    return made


def test_the_section_stands_at_the_end_and_once() -> None:
    """A canary's section is in <main>, is replaced if drawn again, and others follow it."""
    once = with_canary(HTML, canary(2))
    assert once.index("<h1>") < once.index("<section") < once.index("</main>")
    assert with_canary(once, canary(2)) == once
    longer = with_canary(once, canary(3))
    assert longer.count("<section") == 1
    both = with_canary(longer, canary(2, seconds=500))
    assert both.index('id="canary-1000000000"') < both.index('id="canary-500000000000"')
    assert with_canary("no page", canary(2)).startswith("no page<section")


def test_no_text_is_markup() -> None:
    """Names and reasons from people stay texts."""
    told = section(canary(3))
    assert "<script" not in told
    assert told.count("&lt;script&gt;") == 2
    assert "rolled back" in told
    assert "mean return 12.5" in told
    assert "no episode" in told
    assert " style=" not in told  # the page that shows the report allows no styles


def test_the_picture_has_each_look() -> None:
    """The picture has the band of all intervals, the difference inside it, and the share."""
    assert picture(canary(0)) == ""
    single = ET.fromstring(picture(canary(1)))
    assert (len(single.findall("circle")), len(single.findall("polyline"))) == (1, 1)
    drawn = ET.fromstring(picture(canary(4)))
    band, (line, share) = drawn.find("polygon"), drawn.findall("polyline")
    assert band is not None
    assert share.attrib["points"].startswith(f"{LEFT:.1f},")
    corners = [corner.split(",") for corner in band.attrib["points"].split()]
    assert len(corners) == 2 * (2 * 4 - 1)  # there and back, in steps
    ends = [float(y) for _, y in corners]
    assert all(min(ends) <= float(c.split(",")[1]) <= max(ends) for c in line.attrib["points"].split())


def test_a_report_tells_of_the_canary_whenever_it_was_drawn(tmp_path: Path) -> None:
    """A report drawn before the canary ended gets it added. One drawn after it has it at once."""
    repository = ModelRepository(tmp_path)
    described = artifacts.metadata("small")
    for seed in (0, 1):
        repository.publish("small", {"model.onnx": artifacts.model(described, seed=seed)}, metadata=described)
    add_canary(repository, "small", canary(3))  # there is no report yet
    second = repository.read("small", 2)
    assert REPORT not in repository.added_files(second)
    repository.add_files("small", 2, {REPORT: HTML.encode()})
    add_canary(repository, "small", canary(3))
    told = repository.read_added(second, REPORT)
    assert b"Canary beside version 1" in told

    def ended(state: Traffic) -> Traffic:
        return Traffic(policy="small", generation=state.generation + 1, canary=canary(3))

    assert with_last_canary(repository, second, HTML.encode()) == HTML.encode()
    repository.change_traffic("small", ended)
    assert with_last_canary(repository, second, HTML.encode()) == told
    assert with_last_canary(repository, repository.read("small", 1), HTML.encode()) == HTML.encode()
