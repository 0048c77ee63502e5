# SPDX-License-Identifier: Apache-2.0
"""What callers are told of errors."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pinakes.core.faults import Fault, Kind, Violation, invalid, not_found, unavailable
from pinakes.core.rpc.errors import CODES, fault_of, status_of


def _details(status: status_pb2.Status) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        message = getattr(error_details_pb2, name)()
        assert packed.Unpack(message)
        found[name] = message
    return found


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_code_of_its_own_that_is_an_error(kind: Kind) -> None:
    status = status_of(Fault(kind, "REASON", "text"))
    assert status.code == CODES[kind].value[0]
    assert CODES[kind] is not grpc.StatusCode.OK  # type: ignore[comparison-overlap,unused-ignore]
    assert len(set(CODES.values())) == len(Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_status_says_reason_and_domain(kind: Kind) -> None:
    info = _details(status_of(Fault(kind, "REASON", "text", metadata={"limit": "1"})))["ErrorInfo"]
    assert info == error_details_pb2.ErrorInfo(reason="REASON", domain="pinakes", metadata={"limit": "1"})


def test_a_status_has_only_the_details_that_fit() -> None:
    assert set(_details(status_of(Fault(Kind.INTERNAL, "R", "m")))) == {"ErrorInfo"}
    assert set(_details(status_of(invalid("f", "d"), "request-1"))) == {"ErrorInfo", "BadRequest", "RequestInfo"}
    assert set(_details(status_of(not_found("pinakes/Document", "n")))) == {"ErrorInfo", "ResourceInfo"}
    assert set(_details(status_of(unavailable("x")))) == {"ErrorInfo", "RetryInfo"}
    full = Fault(Kind.EXHAUSTED, "R", "m", quota="tenants/a", retry_after=0.5)
    assert set(_details(status_of(full))) == {"ErrorInfo", "QuotaFailure", "RetryInfo"}


def test_a_resource_that_is_not_there_is_named() -> None:
    resource = _details(status_of(not_found("pinakes/Document", "tenants/a")))["ResourceInfo"]
    assert resource == error_details_pb2.ResourceInfo(resource_type="pinakes/Document", resource_name="tenants/a")


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.0, 1), (0.0001, 1), (0.25, 250), (60.0, 60_000)])
def test_the_wait_before_a_retry_is_never_zero(seconds: float, milliseconds: int) -> None:
    retry = _details(status_of(unavailable("x", seconds)))["RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == milliseconds


def test_an_unforeseen_error_tells_nothing_of_its_inside() -> None:
    for error in (KeyError("pinakes-pool-000"), RuntimeError("10.0.0.1:9200"), UnicodeError(), MemoryError()):
        fault = fault_of(error)
        assert fault.kind is Kind.INTERNAL
        status = status_of(fault)
        assert b"pinakes-pool" not in status.SerializeToString()
        assert b"9200" not in status.SerializeToString()


def test_a_fault_stays_itself_and_a_timeout_is_the_deadline() -> None:
    fault = invalid("f", "d")
    assert fault_of(fault) is fault
    assert fault_of(TimeoutError("10.0.0.1")).kind is Kind.DEADLINE
    assert "10.0.0.1" not in fault_of(TimeoutError("10.0.0.1")).message


@pytest.mark.parametrize("text", ["x" * 100_000, "\U0001f389" * 100_000, "é" * 100_000])
def test_a_status_fits_into_trailers_whatever_the_caller_sent(text: str) -> None:
    violations = tuple(Violation(text, text) for _ in range(1000))
    status = status_of(Fault(Kind.INVALID, "REASON", text, violations, quota="tenants/a"), "r" * 64)
    percent_encoded = sum(1 if 0x20 <= byte < 0x7F else 3 for byte in status.message.encode())
    assert status.ByteSize() * 4 / 3 + percent_encoded < 8000
    bad = _details(status)["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert bad.field_violations


def test_many_short_violations_are_told_in_order() -> None:
    violations = tuple(Violation(f"f{n}", "wrong") for n in range(20))
    bad = _details(status_of(Fault(Kind.INVALID, "R", "m", violations)))["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [v.field for v in bad.field_violations] == [v.field for v in violations]
