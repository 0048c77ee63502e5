# SPDX-License-Identifier: Apache-2.0
"""Hides secrets and personal data in log lines."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
SECRET_FIELDS = frozenset(
    {"authorization", "api_key", "apikey", "password", "secret", "secret_key", "token", "credential", "cookie"}
)

_API_KEY = re.compile(rb"pk_([a-z0-9]{1,16})_[A-Za-z0-9_-]{8,}")
_BEARER = re.compile(rb"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]+")
_JWT = re.compile(rb"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_EMAIL = re.compile(rb"[A-Za-z0-9._%+\x80-\xff-]+@[A-Za-z0-9\x80-\xff-]+(?:\.[A-Za-z0-9\x80-\xff-]+)+")


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
