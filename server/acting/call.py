"""One call of ONNX Runtime for the rows of several requests: join, infer, sample, hand out."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from policy_api import log
from policy_api.errors import InvalidArgument
from server.acting.queue import Slice
from server.acting.ticket import Decision
from server.heads.draws import Draws, Piece
from server.heads.interface import Columns
from server.models.version import LoadedVersion
from server.sampling import MASK64, Bool, Float32

_LOG = logging.getLogger(__name__)


def answer(slices: Sequence[Slice]) -> None:
    """Answers rows of one version; each ticket gets exactly its own. Never raises: tickets fail instead."""
    try:
        observations = _joined(slices)
        if _first_bad(slices[0].ticket.model, observations) is not None:
            slices = _without_bad_numbers(slices)
            if not slices:
                return
            observations = _joined(slices)
        _decide(slices, observations)
    except Exception as error:  # noqa: BLE001 -- the boundary: the tickets end, the server goes on
        _fail_or_retry(slices, error)


def _fail_or_retry(slices: Sequence[Slice], error: Exception) -> None:
    """Of several requests one may be what the model cannot take: each is tried on its own."""
    if len(slices) > 1:
        for piece in slices:
            if piece.ticket.decision is None and piece.ticket.error is None:
                answer([piece])
        return
    ticket = slices[0].ticket
    ticket.decision = None  # where only its way out has failed
    ticket.fail(log.unexpected(_LOG, "a call of ONNX Runtime failed", error))


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
        model = piece.ticket.model
        flat = np.frombuffer(_rows(piece), np.float32)
        bad = _first_bad(model, flat)
        if bad is None:
            good.append(piece)
            continue
        got = f"{flat[bad]} at element {piece.start * model.observation_bytes // 4 + bad}"
        wanted = "one of the space's choices" if np.isfinite(flat[bad]) else "finite numbers"
        piece.ticket.fail(InvalidArgument.of("observations", got=got, wanted=wanted))
    return good


def _first_bad(model: LoadedVersion, observations: Float32) -> int | None:
    """The flat place of the first number that no observation can have there; None: all are good."""
    finite = np.isfinite(observations)
    if not finite.all():
        return int(finite.argmin())
    if model.choices is None:
        return None
    return model.choices.first_bad(observations.reshape(-1, model.observation_bytes // 4))


def _decide(slices: Sequence[Slice], observations: Float32) -> None:
    model = slices[0].ticket.model
    tensors, values = model.infer(observations)
    stop = 0
    for piece in slices:
        start, stop = stop, stop + piece.rows
        ticket = piece.ticket
        if ticket.reweighted:
            mask: Bool | None = None if ticket.mask is None else ticket.mask[piece.start : piece.stop]
            model.head.reweight(tensors, slice(start, stop), ticket.temperature, mask)
    columns = model.head.decide(tensors, Draws([_piece(piece) for piece in slices]))
    if values is not None:
        columns["values"] = values
    _hand_out(slices, columns)


def _piece(piece: Slice) -> Piece:
    ticket = piece.ticket
    first_index = (ticket.first_row + piece.start) & MASK64
    return Piece(ticket.seed, first_index, piece.rows, ticket.deterministic)


def _hand_out(slices: Sequence[Slice], columns: Columns) -> None:
    """Gives each ticket the bytes of its rows."""
    whole = {name: column.tobytes() for name, column in columns.items()}
    if len(slices) == 1:
        slices[0].ticket.answer(Decision(whole), slices[0].rows)
        return
    widths = {name: len(data) // len(columns[name]) for name, data in whole.items()}  # bytes a row
    stop = 0
    for piece in slices:
        start, stop = stop, stop + piece.rows
        part = {name: data[start * widths[name] : stop * widths[name]] for name, data in whole.items()}
        piece.ticket.answer(Decision(part), piece.rows)
