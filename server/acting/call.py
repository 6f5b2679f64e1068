"""One call of ONNX Runtime for the rows of several requests: join, infer, sample, hand out."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from policy_api.errors import Internal, InvalidArgument
from server import sampling
from server.acting.queue import Slice
from server.acting.ticket import Decision
from server.sampling import Bool, Float32, Int64

_LOG = logging.getLogger(__name__)


def answer(slices: Sequence[Slice]) -> None:
    """Answers rows of one version; each ticket gets exactly its own. Never raises: tickets fail instead."""
    try:
        observations = _joined(slices)
        if not np.isfinite(observations).all():
            slices = _without_bad_numbers(slices)
            if not slices:
                return
            observations = _joined(slices)
        _decide(slices, observations)
    except Exception:  # noqa: BLE001 -- the boundary: the tickets end, the server goes on
        _LOG.exception("a call of ONNX Runtime failed")
        for piece in slices:
            if piece.ticket.decision is None and piece.ticket.error is None:
                piece.ticket.fail(Internal("inference failed; the server's log has the details"))


def _joined(slices: Sequence[Slice]) -> Float32:
    """Their observations, [B, *shape]."""
    model = slices[0].ticket.model
    joined = _rows(slices[0]) if len(slices) == 1 else b"".join(map(_rows, slices))
    return np.frombuffer(joined, np.float32).reshape(-1, *model.observation_shape)


def _rows(piece: Slice) -> bytes | memoryview:
    ticket = piece.ticket
    if piece.rows == ticket.rows:
        return ticket.observations
    size = ticket.model.observation_bytes
    return memoryview(ticket.observations)[piece.start * size : piece.stop * size]


def _without_bad_numbers(slices: Sequence[Slice]) -> list[Slice]:
    """Those whose rows are finite; fails the others."""
    good = []
    for piece in slices:
        flat = np.frombuffer(_rows(piece), np.float32)
        bad = np.flatnonzero(~np.isfinite(flat))
        if len(bad) == 0:
            good.append(piece)
            continue
        element = piece.start * piece.ticket.model.observation_bytes // 4 + int(bad[0])
        piece.ticket.fail(
            InvalidArgument.of(
                "observations", got=f"{flat[bad[0]]} at element {element}", wanted="finite numbers"
            )
        )
    return good


def _decide(slices: Sequence[Slice], observations: Float32) -> None:
    logits, probs, values = slices[0].ticket.model.infer(observations)
    stop = 0
    for piece in slices:
        start, stop = stop, stop + piece.rows
        ticket = piece.ticket
        if ticket.reweighted:
            mask: Bool | None = None if ticket.mask is None else ticket.mask[piece.start : piece.stop]
            probs[start:stop] = sampling.reweight(logits[start:stop], ticket.temperature, mask)
    actions, log_probs = _choose(slices, probs)
    _hand_out(slices, actions, probs, log_probs, values)


def _choose(slices: Sequence[Slice], probs: Float32) -> tuple[Int64, Float32]:
    """Actions, [B], and their log-probabilities, [B]."""
    first = slices[0].ticket
    if len(probs) == 1 and not first.deterministic:
        action, log_prob = sampling.sample_one(probs, first.seed, first.first_row + slices[0].start)
        return np.array([action]), np.array([log_prob])
    counts = [piece.rows for piece in slices]
    seeds = np.repeat(np.array([piece.ticket.seed for piece in slices], np.uint64), counts)
    actions = sampling.choose(probs, sampling.uniforms(seeds, _sampling_indices(slices, counts)))
    deterministic = [piece.ticket.deterministic for piece in slices]
    if any(deterministic):
        actions = np.where(np.repeat(deterministic, counts), sampling.modes(probs), actions)
    return actions, sampling.log_probs(probs, actions)


def _sampling_indices(slices: Sequence[Slice], counts: list[int]) -> sampling.UInt64:
    """first_row + i of each row, [B], modulo 2^64."""
    offsets = np.cumsum([0, *counts[:-1]])
    begins = [
        (piece.ticket.first_row + piece.start - int(offset)) & 0xFFFF_FFFF_FFFF_FFFF
        for piece, offset in zip(slices, offsets, strict=True)
    ]
    indices: sampling.UInt64 = np.repeat(np.array(begins, np.uint64), counts)
    indices += np.arange(len(indices), dtype=np.uint64)
    return indices


def _hand_out(
    slices: Sequence[Slice], actions: Int64, probs: Float32, log_probs: Float32, values: Float32 | None
) -> None:
    """Gives each ticket the bytes of its rows."""
    n = 4 * slices[0].ticket.model.n
    all_actions, all_probs, all_log_probs = actions.tobytes(), probs.tobytes(), log_probs.tobytes()
    all_values = None if values is None else values.tobytes()
    stop = 0
    for piece in slices:
        start, stop = stop, stop + piece.rows
        part = Decision(
            all_actions[8 * start : 8 * stop],
            all_probs[n * start : n * stop],
            all_log_probs[4 * start : 4 * stop],
            None if all_values is None else all_values[4 * start : 4 * stop],
        )
        piece.ticket.answer(part, piece.rows)
