"""One HTML page that holds everything, pictures included: it can be mailed and opened anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from policy_api.v1.artifact_pb2 import ParityCertificate, PolicyMetadata, ReturnFigures
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.counted import counted
from policyd_trainer.report.aside import Part
from policyd_trainer.report.subject import Place

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --line: #d5dce4; --quiet: #f1f4f7; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe6ee; --line: #36424f; --quiet: #1d2630; --link: #7db8f5; } body { background: #141b22; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); }
body { max-width: 960px; margin: 1.5em auto; padding: 0 1em; overflow-wrap: anywhere; }
h1 { font-size: 1.6em; line-height: 1.2; margin-bottom: .2em; } h2 { font-size: 1.15em; margin-top: 1.8em; }
a { color: var(--link); } nav a, nav span { margin-right: 1.2em; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2em 1.2em .2em 0; vertical-align: top; font-weight: normal; }
th, td { border-top: 1px solid var(--line); } th { min-width: 7em; }
img { max-width: 100%; height: auto; background: #fff; } code { font-size: .92em; }
svg.canary { display: block; max-width: 720px; margin: 1em 0; }
@media (max-width: 40rem) { svg.canary text { font-size: 21px; } }
.verdict { border-left: 5px solid #9aa7b4; padding: .4em 1em; background: var(--quiet); }
.yes { border-color: #2e8b57; } .no { border-color: #c0392b; }
details summary { cursor: pointer; }
"""

Rows = Iterable[tuple[str, str]]

NEWEST = '<span id="after">the newest version when this was drawn</span>'


@dataclass(frozen=True)
class Pictures:
    """The pictures of a report: PNG, and GIF for the episode."""

    learning_curve: Part
    returns: Part
    actions: Part
    episode: Part


def page(
    metadata: PolicyMetadata,
    place: Place,
    preset: Mapping[str, str],
    verdict: GateVerdict | None,
    pictures: Pictures,
) -> str:
    """The HTML page. `preset`: the settings of a run that sets nothing itself."""
    title = f"{metadata.policy} version {place.version}: {metadata.algorithm} on {metadata.env_id}"
    made = metadata.create_time.ToJsonString()[:19].replace("T", " ")
    body = [
        _neighbours(place),
        f"<main>\n<h1>{escape(title)}</h1>",
        f"<p>Digest <code>{escape(place.digest)}</code><br>Seed {metadata.seed}, made {made} UTC</p>",
        _verdict(verdict),
        "<h2>Returns</h2>",
        _returns_table(metadata),
        _image(pictures.returns, "png", "Histograms of episode returns"),
        "<h2>Learning curve</h2>",
        _image(pictures.learning_curve, "png", "Return over environment steps"),
        "<h2>What it does</h2>",
        _image(pictures.actions, "png", "Shares of actions in visited states"),
        _image(pictures.episode, "gif", "One greedy episode"),
        *_provenance(metadata),
        *_settings(metadata.settings, preset),
        "</main>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} ({place.digest[:12]})</title><style>{_STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _verdict(verdict: GateVerdict | None) -> str:
    if verdict is None:
        return '<p class="verdict">Promotion was not asked for.</p>'
    kind = "yes" if verdict.promote else "no"
    return f'<p class="verdict {kind}">The gate: {escape(verdict.explanation)}</p>'


def _returns_table(metadata: PolicyMetadata) -> str:
    evaluation = metadata.evaluation
    rows = [("greedy", evaluation.greedy), ("sampled", evaluation.sampled)]
    return _table((f"evaluation, {name}", _figures(figures)) for name, figures in rows)


def _figures(figures: ReturnFigures) -> str:
    return (
        f"mean {figures.mean:.2f} ± {figures.std:.2f}, 95% interval of the mean {figures.ci_low:.2f} to "
        f"{figures.ci_high:.2f}, {counted(figures.episodes, 'episodes')} of "
        f"{figures.mean_length:.1f} steps on average"
    )


def _provenance(metadata: PolicyMetadata) -> list[str]:
    return [
        "<h2>Parity certificate</h2>",
        _parity(metadata.parity),
        "<h2>Where it comes from</h2>",
        _origin(metadata),
    ]


def _settings(settings: Mapping[str, str], preset: Mapping[str, str]) -> list[str]:
    """The settings that differ from the preset, beside its value. All others are folded."""
    own = {name: value for name, value in settings.items() if preset.get(name) != value}
    rest = sorted((name, value) for name, value in settings.items() if name not in own)
    differing = [
        (name, f"{value} (preset: {preset.get(name, 'none')})") for name, value in sorted(own.items())
    ]
    return [
        "<h2>Settings</h2>",
        _table(differing, code=True) if own else "<p>All settings are those of the preset.</p>",
        f"<details><summary>{len(rest)} settings as in the preset</summary>",
        f"{_table(rest, code=True)}</details>",
    ]


def _neighbours(place: Place) -> str:
    before = "the first version" if place.before is None else link(place.before, "Version {} before it")
    after = NEWEST if place.after is None else link(place.after, "Version {} after it")
    return f'<nav aria-label="Other versions">{_span(before)}{after}</nav>'


def link(version: int, text: str) -> str:
    """A link to the report of another version of the policy."""
    return f'<a href="../{version}/report.html">{text.format(version)}</a>'


def _span(content: str) -> str:
    return content if content.startswith("<") else f"<span>{content}</span>"


def _parity(parity: ParityCertificate) -> str:
    counts = f"{parity.random_observations} random, {parity.visited_observations} visited"
    return _table(
        [
            ("largest difference", f"{parity.max_abs_difference:.2e}, allowed {parity.tolerance:.0e}"),
            ("observations", f"{counts}; the trainer against ONNX Runtime {parity.onnxruntime_version}"),
        ]
    )


def _origin(metadata: PolicyMetadata) -> str:
    training, lineage = metadata.training, metadata.lineage
    start = (
        f"version {lineage.version} ({lineage.digest[:12]})" if metadata.HasField("lineage") else "scratch"
    )
    packages = ", ".join(f"{name} {version}" for name, version in sorted(metadata.packages.items()))
    return _table(
        [
            ("started from", start),
            ("environment steps", f"{training.env_steps:,} in {counted(training.episodes, 'episodes')}"),
            ("updates", f"{training.updates:,} in {training.seconds:.1f} s on {training.device}"),
            ("git commit", metadata.git_commit or "not a checkout"),
            ("packages", packages),
        ]
    )


def _table(rows: Rows, *, code: bool = False) -> str:
    cell = "<code>{}</code>" if code else "{}"
    form = f'<tr><th scope="row">{{}}</th><td>{cell}</td></tr>'
    return "<table>" + "".join(form.format(escape(name), escape(value)) for name, value in rows) + "</table>"


def _image(part: Part, kind: str, description: str) -> str:
    """The picture with its note below it, or only the note if there is no picture."""
    shown = []
    if part.content:
        data = base64.b64encode(part.content).decode()
        shown.append(f'<p><img alt="{escape(description)}" src="data:image/{kind};base64,{data}"></p>')
    if part.note:
        shown.append(f"<p>{escape(part.note)}</p>")
    return "\n".join(shown)
