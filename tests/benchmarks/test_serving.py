"""The serving benchmark's arithmetic: what it reads from h2load, and how it judges."""

from __future__ import annotations

import pytest

from benchmarks.serving.h2load import parse
from benchmarks.serving.protocols import InvalidAnswer
from benchmarks.serving.report import markdown
from benchmarks.serving.results import (
    Cell,
    Failure,
    Measurement,
    Results,
    SwapMeasurement,
    TrainingMeasurement,
    rate,
)
from benchmarks.serving.targets import targets

H2LOAD = """
finished in 1.00s, 69855.00 req/s, 5.66MB/s
requests: 69855 total, 69863 started, 69855 done, 69850 succeeded, 5 failed, 0 errored, 0 timeout
traffic: 5.66MB (5938251) total, 136.53KB (139806) headers (space savings 94.73%), 3.66MB (3842025) data
"""


def _measurement(contestant: str, number: int, requests_per_second: float) -> Measurement:
    return Measurement(contestant, Cell(1, 32), number, requests_per_second, 1.0, 2.0, 0.1, 0.2, 0.0)


def test_answers_and_their_bytes_are_read_from_h2load() -> None:
    """Responses, successful ones and data bytes are read from h2load's summary."""
    assert parse(H2LOAD) == (69855, 69850, 3842025)


def test_output_without_a_summary_is_refused() -> None:
    """A run that printed no figures is an error, not a zero."""
    with pytest.raises(InvalidAnswer):
        parse("h2load: could not connect")


def test_ratios_pair_the_measurements_of_one_round() -> None:
    """A machine that slows down in one round changes both sides of the ratio."""
    results = Results(kinds={"a": "ours", "b": "peer"})
    results.cells = [_measurement("a", n, 3 * base) for n, base in enumerate((100, 10, 50))]
    results.cells += [_measurement("b", n, base) for n, base in enumerate((100, 10, 50))]
    assert results.ratio("a", "b", Cell(1, 32), rate) == pytest.approx(3.0)
    assert results.ratio("a", "missing", Cell(1, 32), rate) is None


def test_a_target_is_judged_in_its_direction() -> None:
    """Throughput must be above its bound; memory and the cost of swaps must be below."""
    results = Results(kinds={"policyd front": "ours", "Triton dynamic batching": "peer"})
    results.cells = [
        _measurement("policyd front", 0, 200),
        _measurement("Triton dynamic batching", 0, 100),
    ]
    results.memory = {"policyd front": [100 << 20]}
    results.swaps = [SwapMeasurement("policyd front", 0, 1.0, 3.0, 9.0, 20)]
    judged = {target.claim: target.met for target in targets(results)}
    assert judged["front / Triton dynamic batching, requests/s, b1 c=32"] is False
    assert judged["policyd front, peak MB of its largest process"] is True
    assert judged["policyd front, p99 during swaps / without"] is False


def test_targets_without_measurements_are_left_out() -> None:
    """A run without measurements has no targets."""
    assert targets(Results()) == []


def _partly_failed() -> Results:
    """Two rounds of two contestants. One of them has no figure in the second round."""
    results = Results(kinds={"policyd front": "ours", "Triton dynamic batching": "peer"})
    results.cells = [_measurement("policyd front", number, 400) for number in range(2)]
    results.cells.append(_measurement("Triton dynamic batching", 0, 100))
    results.failures = [Failure("Triton dynamic batching", 1, "b1 c=32", "nothing came within 0.5 s")]
    return results


def test_a_target_with_a_failed_measurement_is_not_measured() -> None:
    """The ratio of a target is that of the other rounds, and no verdict is taken from it."""
    triton, tail = targets(_partly_failed())
    assert (triton.value, triton.failed, triton.met) == (4.0, 1, None)
    assert (tail.value, tail.failed, tail.met) == (1.0, 1, None)


def test_the_tables_say_what_failed() -> None:
    """The tables name the cell, the reason and the targets that lack it."""
    text = markdown(_partly_failed())
    assert "| Triton dynamic batching | 100 (100 to 100), 1 failed |" in text
    assert "| Triton dynamic batching | b1 c=32 | 2 | nothing came within 0.5 s |" in text
    assert "| 4.00 without 1 that failed | at least 4 | not measured |" in text


def test_latency_beside_a_training_job_is_compared_within_each_round() -> None:
    """The ratio is that of the p99s of one round."""
    results = Results()
    results.training = [
        TrainingMeasurement(8, number, 1, base, 1, 2 * base) for number, base in enumerate((1, 9))
    ]
    assert "| b1 c=8 | 1.000 (1.000 to 1.000) | 1.000 (1.000 to 1.000) | 5.000 (1.000 to 9.000) |" in (
        text := markdown(results)
    )
    assert "| 10.000 (2.000 to 18.000) | 2.00 |" in text
