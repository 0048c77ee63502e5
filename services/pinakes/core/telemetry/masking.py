# SPDX-License-Identifier: Apache-2.0
"""Hides secrets and personal data in log lines: what looks like one, and what an error may have been given."""

from __future__ import annotations

import re
import traceback

from pinakes.core.faults import Fault, Kind

HIDDEN = "[hidden]"
SECRET_FIELDS = frozenset(
    {"authorization", "api_key", "apikey", "password", "secret", "secret_key", "token", "credential", "cookie"}
)

_API_KEY = re.compile(rb"pk_([a-z0-9]{1,16})_[A-Za-z0-9_-]{8,}")
_BEARER = re.compile(rb"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]+")
_JWT = re.compile(rb"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_EMAIL = re.compile(rb"[A-Za-z0-9._%+\x80-\xff-]+@[A-Za-z0-9\x80-\xff-]+(?:\.[A-Za-z0-9\x80-\xff-]+)+")

# Messages of these are the platform's own words; those of others tell callers what is wrong with what they sent.
_OWN = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.CONFLICT, Kind.EXHAUSTED, Kind.INTERNAL, Kind.UNAUTHENTICATED})
_CHAIN = 8


class OwnWords:
    """Marks exceptions whose messages hold nothing that came from outside, so that logs may show them."""


def said(error: BaseException) -> str:
    """Return what may be logged of an exception's message.

    Libraries quote what they were given in theirs, and that may be a document or a query: only what is known not to is
    shown. Of a fault that isn't of the platform's own making it is the reason.
    """
    if isinstance(error, Fault):
        return str(error) if error.kind in _OWN else error.reason
    # Of Python's own these name code, not values.
    if isinstance(error, OwnWords | TimeoutError | AttributeError | NameError | ImportError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"[Errno {error.errno}] {error.strerror}"
    return HIDDEN if str(error) else ""


def stack(error: BaseException) -> str:
    """Return an exception's stack with those of its causes, without their messages but for what may be logged of them."""
    parts: list[str] = []
    found: BaseException | None = error
    for _ in range(_CHAIN):
        if found is None:
            break
        message = said(found)
        title = f"{type(found).__name__}: {message}" if message else type(found).__name__
        parts.append(
            "".join(["Traceback (most recent call last):\n", *traceback.format_tb(found.__traceback__), title])
        )
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return "\n\nraised from\n\n".join(parts)


def mask(line: bytes) -> bytes:
    """Return a rendered line without API keys' secrets, bearer tokens, JWTs and e-mail addresses."""
    if b"pk_" in line:
        line = _API_KEY.sub(rb"pk_\1_[hidden]", line)
    if b"earer" in line or b"EARER" in line:
        line = _BEARER.sub(b"Bearer [hidden]", line)
    if b"eyJ" in line:
        line = _JWT.sub(b"[hidden]", line)
    if b"@" in line:
        line = _EMAIL.sub(b"[e-mail]", line)
    return line
