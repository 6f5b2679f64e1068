"""Writes the outcome where the command line wants it, however the command ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from policyctl.ci.junit import junit
from policyctl.ci.summary import summary
from policyctl.outcome import Outcome


@dataclass(frozen=True)
class Papers:
    """The files that were asked for; None: not wanted."""

    json: Path | None = None
    junit: Path | None = None
    #: Markdown; appended to, as GitHub's step summary wants it.
    summary: Path | None = None

    def write(self, outcome: Outcome) -> None:
        """Writes each of them."""
        if self.json is not None:
            self.json.write_text(json.dumps(outcome.document(), indent=2, allow_nan=False) + "\n")
        if self.junit is not None:
            self.junit.write_text(junit(outcome))
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as file:
                file.write(summary(outcome))
