"""Every error that policyd raises on purpose. Domain errors: they know no transport.

PolicydError
├── InvalidArgument        a field is wrong: its name, what came, what was expected
│   └── UnsupportedSpace   a space or feature that this release does not serve
├── NotFound               no such policy, version, alias or job
├── AlreadyExists          an identifier is taken by other content
├── PermissionDenied       known caller or content, not allowed
├── Unauthenticated        no valid credentials came
├── FailedPrecondition     the system's state forbids it
│   ├── CorruptArtifact    a file does not match its digest or description
│   └── UnusableOutput     a policy's graph computed NaN, an infinity, or no distribution
├── Conflict               another writer was faster; read again
├── Retryable              may succeed later; says when
│   ├── Exhausted          a limit is reached
│   └── Unavailable        a part that is needed cannot be reached
├── DeadlineExceeded       the caller's time ran out before the work began
├── Unimplemented          named in the contract, not in this release
└── Internal               the work itself failed; the details are in the log
"""

from __future__ import annotations

from dataclasses import dataclass

from policyd.quoting import shown


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field: its path in the request, what came and what was expected."""

    field: str
    description: str


class PolicydError(Exception):
    """The base class of every error here.

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
        """Returns the error for one wrong field. Long values of `got` and `wanted` are cut."""
        violation = FieldViolation(shown(field), f"got {shown(got)}, expected {shown(wanted, 400)}")
        return cls(f"{violation.field}: {violation.description}", violations=(violation,))


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


class UnusableOutput(FailedPrecondition):
    """For these observations a policy's graph computed NaN, an infinity, or no distribution."""

    reason = "UNUSABLE_OUTPUT"


class Conflict(PolicydError):
    """Another writer changed the state first. Read it again, then retry."""

    reason = "CONFLICT"


class Retryable(PolicydError):
    """The same request may succeed after `retry_after` seconds. Infinity: a retry never helps."""

    def __init__(self, message: str, *, retry_after: float = 1.0, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class Exhausted(Retryable):
    """A limit is reached: queue, batch or message size."""

    reason = "RESOURCE_EXHAUSTED"


class Unavailable(Retryable):
    """A server, a trainer or another needed part cannot be reached."""

    reason = "UNAVAILABLE"


class DeadlineExceeded(PolicydError):
    """The caller's deadline passed before the work began."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(PolicydError):
    """The contract has it, but this release does not."""

    reason = "UNIMPLEMENTED"


class Internal(PolicydError):
    """The work itself failed. The message is safe to show; the details are in the log."""

    reason = "INTERNAL"
