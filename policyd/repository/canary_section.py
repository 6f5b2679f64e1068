"""The section of a version's report that tells how its canary went, with a picture in SVG.

The report is a file that may be mailed, so everything is inside, and every text is escaped.
"""

from __future__ import annotations

import re
from html import escape

from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1.traffic_pb2 import Canary, CanaryArm, CanaryPoint
from policyd.axes import Scale, short
from policyd.counted import counted

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 640, 404, 70, 14, 30, 232
SHARE_TOP, SHARE_FLOOR = 290, 352  # vertical range of the picture's lower part, which shows the share
_VERDICTS = {Canary.PROMOTED: "yes", Canary.ROLLED_BACK: "no"}
# Attributes instead of styles, because the page that also shows the picture forbids inline styles.
_BAND = 'fill="#3b82c4" fill-opacity=".28"'
_LINE = 'fill="none" stroke="#3b82c4" stroke-width="2"'
_GRID, _ZERO = 'stroke="#8b98a5" stroke-opacity=".35"', 'stroke="#c0392b" stroke-width="1.3"'
_TEXT = 'fill="currentColor" font-size="12" font-family="system-ui, sans-serif"'

Points = list[tuple[float, float]]


def with_canary(html: str, canary: Canary) -> str:
    """Returns the report with this canary's section, added at the end or replacing an older one."""
    written = section(canary)
    name = re.escape(_name(canary))
    before = re.search(rf'<section id="{name}">.*?</section>\n', html, re.DOTALL)
    if before is not None:
        return html[: before.start()] + written + html[before.end() :]
    end = max(html.rfind("</main>"), 0) or max(html.rfind("</body>"), 0) or len(html)
    return html[:end] + written + html[end:]


def section(canary: Canary) -> str:
    """Returns the HTML of one canary's section."""
    state = Canary.State.Name(canary.state).lower().replace("_", " ")
    title = f"Canary beside version {canary.base_version} for {canary.alias}: {state}"
    began = f"{_moment(canary.start_time)} by {canary.actor or 'nobody named'}"
    why = f"{began}: {canary.actor_reason or 'no reason'}"
    rows = [
        ("began", why),
        ("ended", _moment(canary.end_time) or "it runs"),
        (f"version {canary.version}", _arm(canary.challenger)),
        (f"version {canary.base_version}", _arm(canary.champion)),
    ]
    table = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows
    )
    return (
        f'<section id="{_name(canary)}">\n<h2>{escape(title)}</h2>\n'
        f'<p class="verdict {_VERDICTS.get(canary.state, "")}">{escape(canary.reason)}</p>\n'
        f"{picture(canary)}<table>{table}</table>\n</section>\n"
    )


def picture(canary: Canary) -> str:
    """Returns an SVG: the interval of the difference, and the share, over compared episodes.

    Empty before there is an interval.
    """
    known = [point for point in canary.points if point.HasField("low") and point.HasField("high")]
    if not known:
        return ""
    across = Scale(0.0, known[-1].episodes * 1.02, LEFT, WIDTH - RIGHT)
    ends = [end for point in known for end in (point.low, point.high)]
    label = f"Mean return of version {canary.version} minus version {canary.base_version}"
    shapes = [
        *_returns(known, across, Scale.over([*ends, 0.0], FLOOR, TOP)),
        *_shares(list(canary.points), across),
        _text(LEFT - 62, TOP - 14, f"{label}, with its intervals"),
        _text(LEFT - 62, SHARE_TOP - 20, f"Share of version {canary.version}"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "compared episodes of the canary", "middle"),
    ]
    return (
        f'<svg class="chart canary" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" '
        f'aria-label="{escape(label)}">{"".join(shapes)}</svg>\n'
    )


def _returns(known: list[CanaryPoint], across: Scale, up: Scale) -> list[str]:
    """Returns the interval's band, the difference in it, the last look, and the line at 0."""
    lows = _steps([(across.at(point.episodes), up.at(point.low)) for point in known])
    highs = _steps([(across.at(point.episodes), up.at(point.high)) for point in known])
    middle = _steps([(across.at(point.episodes), up.at(point.difference)) for point in known])
    shapes = []
    for tick in up.ticks():
        shapes += [_line(LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick), _GRID)]
        shapes += [_text(LEFT - 8, up.at(tick) + 4, short(tick), "end")]
    shapes.append(_line(LEFT, up.at(0.0), WIDTH - RIGHT, up.at(0.0), _ZERO))
    if len(known) > 1:
        shapes.append(f'<polygon points="{_corners([*lows, *reversed(highs)])}" {_BAND}/>')
        shapes.append(f'<polyline points="{_corners(middle)}" {_LINE}/>')
    x, y = middle[-1]  # the last look, which decided
    shapes.append(_line(x, lows[-1][1], x, highs[-1][1], _LINE))
    return [*shapes, f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#3b82c4"/>']


def _shares(points: list[CanaryPoint], across: Scale) -> list[str]:
    """Returns the lower part: the share of the traffic, 0 to 100%, since the canary began."""
    up = Scale(0.0, 1.0, SHARE_FLOOR, SHARE_TOP)
    begin = (across.at(0.0), up.at(points[0].share))
    line = _steps([begin, *((across.at(point.episodes), up.at(point.share)) for point in points)])
    shapes = [f'<polyline points="{_corners(line)}" {_LINE}/>']
    for share in (0.0, 0.5, 1.0):
        shapes += [_line(LEFT, up.at(share), WIDTH - RIGHT, up.at(share), _GRID)]
        shapes += [_text(LEFT - 8, up.at(share) + 4, f"{100 * share:.0f}%", "end")]
    ticks = [_text(across.at(tick), SHARE_FLOOR + 18, short(tick), "middle") for tick in across.ticks()]
    return [*shapes, *ticks]


def _steps(points: Points) -> Points:
    """Returns the points as steps: a value holds until the next point."""
    corners = points[:1]
    for x, y in points[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return corners


def _corners(points: Points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'


def _text(x: float, y: float, content: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place} {_TEXT}>{escape(content)}</text>"


def _arm(arm: CanaryArm) -> str:
    if not arm.episodes:
        return "no episode"
    told = f"{counted(arm.episodes, 'episodes')}, {arm.reported:,} of them with all outcomes"
    return f"mean return {arm.mean_return:.4g}, standard deviation {arm.std_return:.4g}; {told}"


def _name(canary: Canary) -> str:
    return f"canary-{canary.start_time.ToNanoseconds()}"


def _moment(stamp: Timestamp) -> str:
    return f"{stamp.ToJsonString()[:19].replace('T', ' ')} UTC" if stamp.seconds else ""
