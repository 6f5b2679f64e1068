"""Try it: one state, and what versions would do in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray
from policyd import spaces
from policyd.counted import counted
from policyd.errors import InvalidArgument
from policyd.receipts import Receipt, Row
from policyd_server.page.views import words

MOST_SLIDERS = 24  # larger observations can be edited only as JSON
MOST_ROWS = 64  # most rows of the table of probabilities
WIDEST = 1e4  # a slider cannot have bounds beyond this
DEVIATIONS = 3.0  # a slider's range around the mean of training, if the space has no bounds


@dataclass(frozen=True)
class Slider:
    """A slider for one number of the observation."""

    place: int
    name: str
    low: float
    high: float
    step: float
    value: float


@dataclass(frozen=True)
class Cell:
    """What one version computes for one action."""

    text: str
    share: float | None  # the length of a bar; None: it is not a probability


@dataclass(frozen=True)
class Column:
    """What one version would do."""

    version: int
    names: tuple[str, ...]  # the aliases that serve it
    cells: tuple[Cell, ...]
    value: str  # the critic's value; empty: it has none


def sliders(metadata: PolicyMetadata) -> list[Slider]:
    """Returns one slider per number of the observation; none if there are too many."""
    parts = spaces.leaves(metadata.observation_space)
    if sum(part.size for part in parts) > MOST_SLIDERS:
        return []
    made: list[Slider] = []
    statistics = metadata.observation_statistics
    for part in parts:
        for place in range(part.size):
            number = len(made)
            mean = statistics.mean[number] if number < len(statistics.mean) else None
            std = statistics.std[number] if number < len(statistics.std) else None
            low, high, whole = _range(part, place, mean, std)
            start = min(max(0.0 if mean is None else mean, low), high)
            step = 1.0 if whole else _round((high - low) / 200)
            name = part.name.removeprefix("observations").removeprefix(".") or "observation"
            shown = f"{name}[{place}]" if part.size > 1 else name
            # so many decimals that two digits of the step are shown
            digits = 2 - math.floor(math.log10(step))
            value = round(low + round((start - low) / step) * step, digits)  # rounded as a slider does
            made.append(Slider(number, shown, low, high, step, value))
    return made


def _range(part: spaces.Leaf, place: int, mean: float | None, std: float | None) -> tuple[float, float, bool]:
    """Returns the ends of a slider, and whether it has whole numbers only."""
    if part.kind == "discrete":
        start = part.space.discrete.start
        return float(start), float(start + part.space.discrete.n - 1), True
    if part.kind == "multi_discrete":
        begins = part.space.multi_discrete.start
        start = begins[place] if begins else 0
        return float(start), float(start + part.space.multi_discrete.nvec[place] - 1), True
    if part.kind == "multi_binary":
        return 0.0, 1.0, True
    low, high = _bound(part.space.box.low, place, -math.inf), _bound(part.space.box.high, place, math.inf)
    center = 0.0 if mean is None else mean
    reach = DEVIATIONS * std if std else 1.0
    if not low >= -WIDEST:
        low = _round(center - reach)
    if not high <= WIDEST:
        high = _round(center + reach)
    return low, max(high, low + 1e-3), part.dtype.kind in "iu"


def _bound(bounds: Sequence[float], place: int, absent: float) -> float:
    if not bounds:
        return absent
    return bounds[place] if len(bounds) > 1 else bounds[0]


def _round(value: float) -> float:
    """Returns the value with two digits, which are enough for the ends of a slider."""
    return float(f"{value:.1e}")


def size(metadata: PolicyMetadata) -> int:
    """Returns how many numbers an observation has."""
    return math.prod(spaces.row_shape(metadata.observation_space))


def observation(text: str, metadata: PolicyMetadata) -> NDArray[np.float32]:
    """Returns one row [D] from a JSON list, nested or flat. InvalidArgument: it does not fit."""
    wanted = f"a JSON list of {size(metadata)} numbers"
    try:
        row = np.asarray(json.loads(text), np.float32).reshape(-1)
    except (ValueError, TypeError, RecursionError):
        raise InvalidArgument.of("observation", got=repr(text[:60]), wanted=wanted) from None
    if row.size != size(metadata):
        raise InvalidArgument.of("observation", got=counted(row.size, "numbers"), wanted=wanted)
    return row


def labels(metadata: PolicyMetadata) -> list[str]:
    """Returns the names of the table's rows."""
    distribution = metadata.distribution
    kind = distribution.WhichOneof("kind")
    if kind == "multi_categorical":
        names = [
            f"branch {branch}, choice {choice}"
            for branch, n in enumerate(distribution.multi_categorical.nvec)
            for choice in range(n)
        ]
    elif kind == "bernoulli":
        names = [f"bit {bit} is 1" for bit in range(distribution.bernoulli.n)]
    elif kind == "gaussian":
        names = [f"element {element}" for element in range(distribution.gaussian.size)]
    else:
        names = [f"action {action}" for action in range(distribution.categorical.n)]
    return names[:MOST_ROWS]


def column(response: ActResponse, aliases: Sequence[str]) -> Column:
    """Returns one version's response to one observation, as a column of the table."""
    probs = floats(response.action_probs)
    cells = [Cell(f"{share:.3f}", share) for share in probs]
    if not probs:
        pairs = zip(floats(response.action_mean), floats(response.action_std), strict=True)
        cells = [Cell(f"{words.number(mean)} ± {words.number(std)}", None) for mean, std in pairs]
    value = floats(response.values)
    return Column(
        response.version,
        tuple(aliases),
        tuple(cells[:MOST_ROWS]),
        words.number(value[0]) if value else "",
    )


def action(response: ActResponse) -> int | list[int] | list[float]:
    """Returns the action for one observation: an index, indices, or the numbers of a Box."""
    vector = floats(response.vectors)
    if vector:
        return vector
    chosen = integers(response.actions)
    return chosen[0] if len(chosen) == 1 else chosen


def receipt(response: ActResponse, row: NDArray[np.float32], *, deterministic: bool) -> Receipt:
    """Returns what `policyctl verify` needs to recompute the response."""
    made = Row(
        row=0,
        observation=row.tolist(),
        action_probs=floats(response.action_probs),
        action_mean=floats(response.action_mean),
        action_std=floats(response.action_std),
        gaussian_samples=floats(response.gaussian_samples),
        action=action(response),
    )
    return Receipt(
        policy=response.policy,
        version=response.version,
        digest=response.digest,
        seed=response.seed,
        deterministic=deterministic,
        rows=[made],
    )


def floats(array: FloatArray) -> list[float]:
    """Returns the numbers of an array."""
    return np.frombuffer(array.raw, "<f4").tolist() if array.raw else list(array.values)


def integers(array: IntArray) -> list[int]:
    """Returns the numbers of an array."""
    return np.frombuffer(array.raw, "<i8").tolist() if array.raw else list(array.values)


def aliases_of(aliases: Mapping[str, int], version: int) -> list[str]:
    """Returns the names of the aliases that serve a version."""
    return [name for name, serving in aliases.items() if serving == version]
