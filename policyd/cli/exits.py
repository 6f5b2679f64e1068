"""The exit codes of policyctl. docs/guide/ci.md has the same table, and a test compares the two."""

from __future__ import annotations

from enum import IntEnum

from policyd import errors


class Exit(IntEnum):
    """Exit codes, by how a command ended."""

    #: Done. `retrain --wait`: the new version is promoted, or promotion was not asked for.
    OK = 0
    #: The system refused, or something unexpected happened: the line on stderr says what.
    FAILED = 1
    #: The command line, the configuration or the request is wrong; sending it again does not help.
    BAD_REQUEST = 2
    #: Trained and published, but the gate keeps the champion.
    GATE_REFUSED = 3
    #: Trained and published, but the evidence does not tell which is better.
    CANNOT_TELL = 4
    #: The training job failed.
    JOB_FAILED = 5
    #: The training job was cancelled.
    JOB_CANCELLED = 6
    #: `--timeout` passed. The job goes on; the same command finds it again.
    TIMED_OUT = 7
    #: No server or trainer responds, or it is overloaded. Try again later.
    UNREACHABLE = 8
    #: `verify`: the receipt does not agree with what was recomputed.
    NOT_VERIFIED = 9
    #: Ctrl-C.
    INTERRUPTED = 130


_BY_ERROR: tuple[tuple[type[errors.PolicydError], Exit], ...] = (
    (errors.InvalidArgument, Exit.BAD_REQUEST),
    (errors.AlreadyExists, Exit.BAD_REQUEST),
    (errors.PermissionDenied, Exit.BAD_REQUEST),
    (errors.Unimplemented, Exit.BAD_REQUEST),
    (errors.DeadlineExceeded, Exit.TIMED_OUT),
    (errors.Retryable, Exit.UNREACHABLE),
)


def exit_of(error: errors.PolicydError) -> Exit:
    """Returns the exit code for a domain error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)
