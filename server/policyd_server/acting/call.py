"""One inference call for the rows of several requests: join, infer, sample, hand out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policyd.errors import InvalidArgument, PolicydError, UnusableOutput
from policyd.runtime.log_limit import LogLimit, and_others
from policyd.tensors import LOGITS
from policyd_server.acting.queue import Slice
from policyd_server.acting.ticket import Decision
from policyd_server.heads.draws import Draws, Piece
from policyd_server.heads.interface import Columns
from policyd_server.models.version import LoadedVersion
from policyd_server.sampling import MASK64, Bool, Float32

# For the unusable outputs of one version: this many log lines per window, and its length in
# seconds.
UNUSABLE_LOGGED, UNUSABLE_WINDOW = 3, 60.0

_limit = LogLimit(UNUSABLE_LOGGED, UNUSABLE_WINDOW)
_LOG = logging.getLogger(__name__)


def answer(slices: Sequence[Slice]) -> None:
    """Answers rows of one version; each ticket gets its own rows. It never raises: tickets fail."""
    try:
        observations = _joined(slices)
        if _first_bad(slices[0].ticket.model, observations) is not None:
            slices = _without_bad_numbers(slices)
            if not slices:
                return
            observations = _joined(slices)
        _decide(slices, observations)
    except Exception as error:  # noqa: BLE001 -- the boundary: the tickets fail, the server goes on
        _fail_or_retry(slices, error)


def _fail_or_retry(slices: Sequence[Slice], error: Exception) -> None:
    """Fails the ticket. If there are several, each is tried alone, as one may have caused it."""
    if len(slices) > 1:
        for piece in slices:
            if piece.ticket.decision is None and piece.ticket.error is None:
                answer([piece])
        return
    ticket = slices[0].ticket
    ticket.decision = None  # may be set, if only `done` has failed
    if isinstance(error, UnusableOutput):
        _log_unusable(ticket.model, error)
    if not isinstance(error, PolicydError):  # it is logged where the request's id is known
        error.add_note(f"in an inference call of {ticket.model.policy} version {ticket.model.version}")
    ticket.fail(error)


def _log_unusable(model: LoadedVersion, error: UnusableOutput) -> None:
    left_out = _limit.passes((model.policy, model.version))
    if left_out is not None:
        _LOG.error("%s%s", error.message, and_others(left_out))


def _joined(slices: Sequence[Slice]) -> Float32:
    """Returns the observations of all slices as one array [B, *shape]."""
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
    """Returns the slices whose observations are valid. Fails the tickets of the others."""
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
    """Returns the flat index of the first invalid number. None: all are valid.

    A number is invalid if it is NaN or infinite, or not one of the choices of a Discrete part.
    """
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
    outputs = dict(zip(model.tensors, tensors, strict=False))
    outputs.pop(LOGITS, None)  # minus infinity is a valid logit; a bad one shows in the probabilities
    _check(outputs, slices[0])
    try:
        columns = model.head.decide(tensors, Draws([_piece(piece) for piece in slices]))
    except ValueError as error:
        raise UnusableOutput(f"{model.policy} version {model.version} computed {error}") from error
    if values is not None:
        columns["values"] = values
    _check({name: column for name, column in columns.items() if column is not outputs.get(name)}, slices[0])
    _hand_out(slices, columns)


def _check(columns: Mapping[str, NDArray[Any]], piece: Slice) -> None:
    """Raises UnusableOutput if a number is NaN or infinite. `piece` is the first slice."""
    for name, column in columns.items():
        if column.dtype != np.int64 and not (finite := np.isfinite(column)).all():
            row, *_ = np.argwhere(~finite)[0]
            model = piece.ticket.model
            raise UnusableOutput(
                f"{model.policy} version {model.version} computed {column.reshape(-1)[finite.argmin()]}"
                f" in {name} for row {piece.start + row} of the observations"
            )


def _piece(piece: Slice) -> Piece:
    ticket = piece.ticket
    first_index = (ticket.first_row + piece.start) & MASK64
    return Piece(ticket.seed, first_index, piece.rows, ticket.deterministic)


def _hand_out(slices: Sequence[Slice], columns: Columns) -> None:
    """Gives each ticket the bytes of its own rows."""
    whole = {name: column.tobytes() for name, column in columns.items()}
    if len(slices) == 1:
        slices[0].ticket.answer(Decision(whole), slices[0].rows)
        return
    widths = {name: len(data) // len(columns[name]) for name, data in whole.items()}  # bytes per row
    stop = 0
    for piece in slices:
        start, stop = stop, stop + piece.rows
        part = {name: data[start * widths[name] : stop * widths[name]] for name, data in whole.items()}
        piece.ticket.answer(Decision(part), piece.rows)
