"""The files of a version's report."""

from __future__ import annotations

from policyd.repository.report import REPORT
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.report.aside import Part, beginning, made
from policyd_trainer.report.page import Pictures, page
from policyd_trainer.report.subject import Subject

CURVE = "learning_curve.png"
RETURNS = "returns.png"
ACTIONS = "actions.png"
EPISODE = "episode.gif"
PARTS = "policyd_trainer.report.parts"  # not imported here: it takes as long as drawing


def build(subject: Subject) -> dict[str, bytes]:
    """report.html and the pictures that it shows, by file name.

    Pictures that cannot be drawn are left out.
    """
    metadata = subject.metadata
    shown = _pictures(subject)
    files = {
        CURVE: shown.learning_curve.content,
        RETURNS: shown.returns.content,
        ACTIONS: shown.actions.content,
        EPISODE: shown.episode.content,
        REPORT: page(metadata, subject.place, _preset(subject.config), subject.verdict, shown).encode(),
    }
    return {name: content for name, content in files.items() if content}


def _pictures(subject: Subject) -> Pictures:
    """The film, which takes as long as the rest, and beside it one picture after the other."""

    def drawn(name: str, make: str) -> Part:
        return made(name, f"{PARTS}:{make}", subject)

    with beginning("The animation", f"{PARTS}:episode", subject) as film:
        curve = drawn("The learning curve", "curve")
        returns = drawn("The picture of the returns", "returns")
        actions = drawn("The picture of the actions", "actions")
        return Pictures(curve, returns, actions, film.part())


def _preset(config: TrainingConfig) -> dict[str, str]:
    """The settings that the run would have had without any settings of its own."""
    chosen = {"preset": config.preset}
    return resolve_config(config.policy, config.env_id, config.algorithm, config.seed, chosen).settings()
