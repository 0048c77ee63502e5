# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, in the platform's own words; `core/rpc/errors.py` alone turns these into gRPC statuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """The class of a fault; each has one gRPC status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    EXISTS = "exists"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of one field of a request: where it is, what is wrong and what would be right."""

    field: str
    description: str


@dataclass(slots=True, eq=False)
class Fault(Exception):
    """An error that a caller is told about.

    `reason` is stable, in UPPER_SNAKE_CASE, and becomes `ErrorInfo.reason`; `message` is for people and never names an
    index, a host or another tenant; `retry_after` is in seconds.
    """

    kind: Kind
    reason: str
    message: str
    violations: tuple[Violation, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    resource: tuple[str, str] | None = None
    quota: str | None = None
    retry_after: float | None = None

    def __post_init__(self) -> None:
        """Give the message to `Exception`, so that logs and tracebacks show it."""
        Exception.__init__(self, self.message)

    def __str__(self) -> str:
        """Reason and message, for logs."""
        return f"{self.reason}: {self.message}"


def invalid(field_name: str, description: str, reason: str = "INVALID_ARGUMENT") -> Fault:
    """Make the fault of a request that can't be right whatever the state of the platform."""
    return Fault(Kind.INVALID, reason, f"{field_name}: {description}", (Violation(field_name, description),))


def not_found(resource_type: str, name: str) -> Fault:
    """Make the fault of a resource that isn't there, or that the caller may not read."""
    short = resource_type.removeprefix("pinakes/")
    return Fault(Kind.NOT_FOUND, f"{short.upper()}_NOT_FOUND", f"{name} doesn't exist", resource=(resource_type, name))


def unavailable(what: str, retry_after: float = 1.0) -> Fault:
    """Make the fault of a dependency that doesn't answer now."""
    return Fault(Kind.UNAVAILABLE, "UNAVAILABLE", f"{what} isn't available now; try again", retry_after=retry_after)


def etag_mismatch(what: str) -> Fault:
    """Make the fault of a conditional write to something that isn't what its etag says any more."""
    return Fault(Kind.CONFLICT, "ETAG_MISMATCH", f"the {what} has changed since its etag was read; read it again")


def concurrent_change(what: str) -> Fault:
    """Make the fault of a change that others were faster than, again and again."""
    text = f"the {what} is being changed by others; try again"
    return Fault(Kind.CONFLICT, "CONCURRENT_CHANGE", text, retry_after=0.2)
