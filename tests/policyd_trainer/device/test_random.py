"""Random numbers of the device.

The published answers of Philox, and streams that nothing else changes.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from policyd_trainer.device.philox import philox
from policyd_trainer.device.streams import Purpose, Streams

# From Random123's file kat_vectors, the implementation of Philox's authors.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """The three published vectors of Philox4x32-10 are reproduced bit for bit."""
    c0, c1, c2, c3 = (torch.tensor(word) for word in counter)
    words = philox((c0, c1, c2, c3), (torch.tensor(key[0]), torch.tensor(key[1])))
    assert tuple(int(word) for word in words) == expected


def test_numbers_depend_on_environment_and_rollout_only() -> None:
    """The numbers of environments 6 to 9 are the same alone and among 12.

    Another rollout has other numbers.
    """
    whole, part = Streams([5, 6], 12, "cpu"), Streams([5, 6], 4, "cpu", first=6)
    for stream in (whole, part):
        stream.advance()
    expected = whole.uniforms(Purpose.ACTIONS, 3, 5).unflatten(2, (2, 12))[..., 6:10]
    assert torch.equal(part.uniforms(Purpose.ACTIONS, 3, 5).unflatten(2, (2, 4)), expected)
    before = whole.uniforms(Purpose.ACTIONS, 3, 5)
    assert not torch.equal(whole.uniforms(Purpose.STARTS, 3, 5), before)
    whole.advance()
    assert not torch.equal(whole.uniforms(Purpose.ACTIONS, 3, 5), before)


def test_members_are_runs_of_their_own_seeds() -> None:
    """The second member's numbers equal those of a population that starts with its seed."""
    both, second = Streams([5, 6], 4, "cpu"), Streams([6], 4, "cpu")
    assert torch.equal(both.normals(0, 2, 3)[..., 4:], second.normals(0, 2, 3))


def test_distributions() -> None:
    """200,000 numbers are uniform, or normal, by the Kolmogorov-Smirnov test."""
    streams = Streams([1], 1000, "cpu")
    uniforms = streams.uniforms(Purpose.ACTIONS, 50, 4).numpy()
    normals = streams.normals(Purpose.STARTS, 50, 4).numpy()
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert stats.kstest(uniforms.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(normals.ravel(), "norm").pvalue > 1e-3
    for numbers in (uniforms, normals):
        columns = np.corrcoef(numbers.transpose(1, 0, 2).reshape(4, -1))
        assert abs(columns - np.eye(4)).max() < 0.02
