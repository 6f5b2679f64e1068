"""Every error that policyd raises on purpose. Domain errors: they know no transport.

PolicydError
├── InvalidArgument        a field is wrong: which, what came, what was wanted
│   └── UnsupportedSpace   a space or feature that this release does not serve
├── NotFound               no such policy, version, alias or job
├── AlreadyExists          an identifier is taken by other content
├── PermissionDenied       known caller or content, not allowed
├── Unauthenticated        no valid credentials came
├── FailedPrecondition     the system's state forbids it
│   └── CorruptArtifact    a file does not match its digest or description
├── Conflict               a compare-and-set lost against another writer
├── Retryable              may succeed later; says when
│   ├── Exhausted          a limit is reached
│   └── Unavailable        a part that is needed cannot be reached
├── DeadlineExceeded       the caller's time ran out before the work began
├── Unimplemented          named in the contract, not in this release
└── Internal               the work itself failed; the details are in the log
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field: its path in the request, and what came and what was wanted."""

    field: str
    description: str


class PolicydError(Exception):
    """Root of the tree.

    `reason` is a stable upper-case identifier for machines; the message is one line for people.
    """

    reason: str = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class InvalidArgument(PolicydError):
    """A field is wrong. `violations` names each."""

    reason = "INVALID_ARGUMENT"

    def __init__(
        self, message: str, *, violations: tuple[FieldViolation, ...] = (), reason: str | None = None
    ) -> None:
        super().__init__(message, reason=reason)
        self.violations = violations

    @classmethod
    def of(cls, field: str, *, got: object, wanted: str) -> InvalidArgument:
        """The usual case: one field, what came, what was wanted."""
        violation = FieldViolation(field, f"got {got}, wanted {wanted}")
        return cls(f"{field}: {violation.description}", violations=(violation,))


class UnsupportedSpace(InvalidArgument):
    """A Gymnasium space that this release cannot train or serve."""

    reason = "UNSUPPORTED_SPACE"


class NotFound(PolicydError):
    """No such policy, version, alias or job."""

    reason = "NOT_FOUND"


class AlreadyExists(PolicydError):
    """The identifier is taken by other content."""

    reason = "ALREADY_EXISTS"


class PermissionDenied(PolicydError):
    """The caller or the content is not allowed."""

    reason = "PERMISSION_DENIED"


class Unauthenticated(PolicydError):
    """No valid credentials came with the call."""

    reason = "UNAUTHENTICATED"


class FailedPrecondition(PolicydError):
    """The system's state forbids the call; repeating it does not help."""

    reason = "FAILED_PRECONDITION"


class CorruptArtifact(FailedPrecondition):
    """A published file does not match its digest or its own description."""

    reason = "CORRUPT_ARTIFACT"


class Conflict(PolicydError):
    """A compare-and-set lost against another writer; read again, then retry."""

    reason = "CONFLICT"


class Retryable(PolicydError):
    """Something that may succeed later; `retry_after` says when, in seconds; infinity: not as it is."""

    def __init__(self, message: str, *, retry_after: float = 1.0, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class Exhausted(Retryable):
    """A limit is reached: queue, batch or message size."""

    reason = "RESOURCE_EXHAUSTED"


class Unavailable(Retryable):
    """A part that is needed cannot be reached."""

    reason = "UNAVAILABLE"


class DeadlineExceeded(PolicydError):
    """The caller's deadline passed before the work began."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(PolicydError):
    """Named in the contract, not in this release."""

    reason = "UNIMPLEMENTED"


class Internal(PolicydError):
    """The work itself failed. The message is safe to show; the details are in the log."""

    reason = "INTERNAL"
