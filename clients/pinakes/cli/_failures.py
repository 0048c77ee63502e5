# SPDX-License-Identifier: Apache-2.0
"""How the command fails: one line on stderr, and an exit code that scripts can use."""

from __future__ import annotations

import sys

from pinakes.client import (
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PinakesError,
    RateLimited,
    Unauthenticated,
    Unavailable,
)

ERROR, USAGE, PARTIAL, NOT_FOUND, DENIED, UNAVAILABLE = 1, 2, 3, 4, 5, 6
EXIT_CODES = (
    "Exit codes: 0 done · 1 error · 2 wrong usage · 3 done in part (`import`, `load`) · 4 not found · "
    "5 denied or no valid key · 6 unavailable or too late"
)

_ADVICE: list[tuple[type[PinakesError], int, str]] = [
    (NotFound, NOT_FOUND, "check the name; `list` shows what there is"),
    (Unauthenticated, DENIED, "give a valid key by `pinakes profile set` or PINAKES_API_KEY"),
    (
        PermissionDenied,
        DENIED,
        "use a key of that tenant whose role allows it; an administrator's names one by --tenant",
    ),
    (Unavailable, UNAVAILABLE, "check the endpoint, or try again later (`pinakes local status` for a local platform)"),
    (DeadlineExceeded, UNAVAILABLE, "try again later, or give it longer by --timeout"),
    (RateLimited, ERROR, "come again later, or ask for less"),
    (AlreadyExists, ERROR, "choose another id, or delete the old one first"),
    (Conflict, ERROR, "it has changed meanwhile: read it again and repeat the change"),
    (InvalidArgument, ERROR, "correct the request"),
]


class Failure(Exception):
    """A failure of the command's own: what is wrong, what to do, and the exit code."""

    def __init__(self, reason: str, message: str, advice: str = "", code: int = ERROR) -> None:
        """Make a failure; the reason is in UPPER_SNAKE_CASE."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.advice = advice
        self.code = code


def failure_of(error: PinakesError) -> Failure:
    """Turn an error of the platform into a failure, with the faults of each field and what to do."""
    code, advice = next(
        ((code, advice) for kind, code, advice in _ADVICE if isinstance(error, kind)),
        (ERROR, "tell the platform's operators"),
    )
    message = error.message
    for violation in error.violations:
        told = f"{violation.field}: {violation.description}"
        if violation.description not in message:
            message += f"; {told}"
    if error.reason == "ADMIN_REASON_REQUIRED":
        advice = 'say why by --admin-reason "…" (PINAKES_ADMIN_REASON), or use a key of that tenant'
    if error.retry_after is not None:
        advice = f"try again in {error.retry_after:g} s"
    if error.request_id and code == ERROR and error.code in {"INTERNAL", "UNKNOWN"}:
        advice += f" the request id {error.request_id}"
    return Failure(error.reason, message, advice, code)


def report(failure: Failure) -> None:
    """Write a failure as one line on stderr: `pinakes: REASON: message — what to do`."""
    line = " ".join(failure.message.split())
    advice = f" — {failure.advice}" if failure.advice else ""
    sys.stderr.write(f"pinakes: {failure.reason}: {line}{advice}\n")
