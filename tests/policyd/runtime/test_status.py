"""The mapping between domain errors and gRPC statuses."""

import math

import grpc
import pytest
from google.rpc import error_details_pb2

from policyd import errors
from policyd.runtime import status


def _tree(kind: type[errors.PolicydError]) -> list[type[errors.PolicydError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]


LEAVES = [kind for kind in _tree(errors.PolicydError) if kind not in (errors.PolicydError, errors.Retryable)]


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_domain_error_is_mapped(kind: type[errors.PolicydError]) -> None:
    """Each error of the tree has its status code in the table, without the fallback."""
    assert any(issubclass(kind, mapped) for mapped, _ in status.CODES)
    assert status.code_of(kind("message")) is not grpc.StatusCode.OK


def test_an_invalid_argument_names_its_field() -> None:
    """The status has a BadRequest with the field, the value that came and what was expected."""
    answer = status.to_status(errors.InvalidArgument.of("temperature", got=-1, wanted="above 0"))
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in answer.details)
    assert [(v.field, v.description) for v in bad.field_violations] == [
        ("temperature", "got -1, expected above 0")
    ]


def test_a_retryable_error_says_when() -> None:
    """RetryInfo has the delay in seconds."""
    answer = status.to_status(errors.Exhausted("full", retry_after=0.25))
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in answer.details)
    assert retry.retry_delay.ToNanoseconds() == 250_000_000


def test_what_cannot_succeed_later_says_so() -> None:
    """If the same request can never succeed, there is no RetryInfo."""
    answer = status.to_status(errors.Exhausted("too large", retry_after=math.inf))
    assert not any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in answer.details)
