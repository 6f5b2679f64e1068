"""One HTML page that holds everything, pictures included: it can be mailed and opened anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from policy_api.v1.artifact_pb2 import ParityCertificate, PolicyMetadata, ReturnFigures
from policy_api.v1.gate_pb2 import GateVerdict

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; }
body { max-width: 960px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: .1em; } h2 { font-size: 1.15em; margin-top: 1.8em; }
table { border-collapse: collapse; }
td { text-align: left; padding: .2em 1.2em .2em 0; vertical-align: top; }
td { border-top: 1px solid #e3e8ee; } img { max-width: 100%; } code { font-size: .92em; }
.verdict { border-left: 5px solid #9aa7b4; padding: .4em 1em; background: #f4f6f8; }
.yes { border-color: #2e8b57; } .no { border-color: #c0392b; }
details summary { cursor: pointer; }
"""

Rows = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Pictures:
    """PNG, and GIF for the episode; no bytes: there is none."""

    learning_curve: bytes
    returns: bytes
    actions: bytes
    episode: bytes
    episode_note: str


def page(metadata: PolicyMetadata, verdict: GateVerdict | None, pictures: Pictures) -> str:
    """The page."""
    title = f"{metadata.policy}: {metadata.algorithm} on {metadata.env_id}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Seed {metadata.seed}, {metadata.create_time.ToJsonString()[:19]} UTC</p>",
        _verdict(verdict),
        "<h2>Returns</h2>",
        _returns_table(metadata),
        _image(pictures.returns, "png", "Histograms of episode returns"),
        "<h2>Learning curve</h2>",
        _image(pictures.learning_curve, "png", "Return over environment steps"),
        "<h2>What it does</h2>",
        _image(pictures.actions, "png", "Shares of actions in visited states"),
        _image(pictures.episode, "gif", "One greedy episode"),
        f"<p>{escape(pictures.episode_note)}</p>",
        *_provenance(metadata),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
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
        f"{figures.ci_high:.2f}, {figures.episodes} episodes of {figures.mean_length:.1f} steps on average"
    )


def _provenance(metadata: PolicyMetadata) -> list[str]:
    settings = _table(sorted(metadata.settings.items()), code=True)
    summary = f"<summary>{len(metadata.settings)} settings</summary>"
    return [
        "<h2>Parity certificate</h2>",
        _parity(metadata.parity),
        "<h2>Where it comes from</h2>",
        _origin(metadata),
        "<h2>Configuration</h2>",
        f"<details open>{summary}{settings}</details>",
    ]


def _parity(parity: ParityCertificate) -> str:
    counts = f"{parity.random_observations} random, {parity.visited_observations} visited"
    return _table(
        [
            ("largest difference", f"{parity.max_abs_difference:.2e}, allowed {parity.tolerance:.0e}"),
            ("observations", f"{counts}; torch against ONNX Runtime {parity.onnxruntime_version}"),
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
            ("environment steps", f"{training.env_steps:,} in {training.episodes:,} episodes"),
            ("updates", f"{training.updates:,} in {training.seconds:.1f} s on {training.device}"),
            ("git commit", metadata.git_commit or "not a checkout"),
            ("packages", packages),
        ]
    )


def _table(rows: Rows, *, code: bool = False) -> str:
    form = "<tr><td>{}</td><td><code>{}</code></td></tr>" if code else "<tr><td>{}</td><td>{}</td></tr>"
    return "<table>" + "".join(form.format(escape(name), escape(value)) for name, value in rows) + "</table>"


def _image(content: bytes, kind: str, description: str) -> str:
    if not content:
        return ""
    data = base64.b64encode(content).decode()
    return f'<p><img alt="{escape(description)}" src="data:image/{kind};base64,{data}"></p>'
