"""The result as JSON and as a picture (SVG, drawn without a library)."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from html import escape
from pathlib import Path
from typing import Any

import torch

from policyd_trainer import compiled

WIDTH, BAR, LEFT, RIGHT = 900, 26, 260, 150


def machine(device: torch.device) -> dict[str, Any]:
    """The machine of the measurement."""
    described: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu_threads": torch.get_num_threads(),
        "compiled_cpu_engine": compiled.AVAILABLE,
        "commit": _commit(),
    }
    if device.type == "cuda":
        described["memory_gib"] = torch.cuda.get_device_properties(device).total_memory / 2**30
    return described


def ratios(results: dict[str, dict[str, Any]], middle: int) -> dict[str, float]:
    """Our training speed at the middle size, divided by that of each other loop in this run."""
    ours = results.get(f"CartPole N={middle}", {}).get("training")
    names = {
        "eager torch loop": f"eager torch loop N={middle}",
        "CPU engine": f"CPU engine N={middle}",
        "JAX program": f"JAX program N={middle}",
        "same engine without a graph": "CartPole without a graph",
    }
    others = {name: results.get(cell, {}).get("training") for name, cell in names.items()}
    return {name: ours / speed for name, speed in others.items() if ours and speed}


def write(folder: Path, content: dict[str, Any]) -> list[Path]:
    """Writes `gpu.json` and `gpu.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "gpu.json", folder / "gpu.svg"]
    paths[0].write_text(json.dumps(content, indent=1) + "\n")
    paths[1].write_text(chart(content["results"], str(content["machine"]["device"])))
    return paths


def chart(results: dict[str, dict[str, Any]], device: str) -> str:
    """A bar chart of environment steps per second with training, on a logarithmic scale."""
    rows = [(name, cell["training"]) for name, cell in results.items() if cell.get("training")]
    low = 10 ** math.floor(math.log10(min((speed for _, speed in rows), default=1.0)))
    high = 10 ** math.ceil(math.log10(max((speed for _, speed in rows), default=10.0)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{len(rows) * BAR + 60}">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="24">{escape(device)}: env-steps/s with training</text>',
    ]
    for index, (name, speed) in enumerate(rows):
        y = 40 + index * BAR
        share = math.log10(speed / low) / max(math.log10(high / low), 1e-9)
        width = share * (WIDTH - LEFT - RIGHT)
        parts.append(f'<text x="12" y="{y + 16}">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 6}" fill="#3b6ea5"/>')
        parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 16}">{speed:,.0f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _commit() -> str:
    try:
        asked = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
