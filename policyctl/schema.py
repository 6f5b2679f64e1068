"""`python -m policyctl.schema` writes the JSON Schema of CONFIG.yaml, which editors use."""

from __future__ import annotations

import json
from pathlib import Path

from policyctl.retraining import Retraining

FILE = Path(__file__).with_name("retrain.schema.json")


def schema() -> str:
    """The schema as it belongs into FILE."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Retraining.model_json_schema()
    return json.dumps(document | {"title": "policyctl retrain CONFIG.yaml"}, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema())
