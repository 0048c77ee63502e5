# SPDX-License-Identifier: Apache-2.0
"""API keys: `pk_<id>_<secret>`, of which the platform keeps the id, a keyed hash and an Ed25519 public key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pinakes.core.faults import Fault, Kind

PREFIX = "pk_"
BOOTSTRAP = "bootstrap"
ID_CHARS = 16
SECRET_BYTES = 32
SECRET_CHARS = 43

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters without those that people confuse
_ID = re.compile(r"[a-z0-9]{16}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `text` is told to its holder once."""

    key_id: str
    text: str = field(repr=False)
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key as a caller presented it; nothing says yet that it is known."""

    key_id: str
    secret: bytes = field(repr=False)


def generate() -> NewKey:
    """Make a key: an id of 80 random bits and a secret of 256."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(ID_CHARS))
    secret = secrets.token_bytes(SECRET_BYTES)
    return NewKey(key_id, text_of(key_id, secret), secret)


def text_of(key_id: str, secret: bytes) -> str:
    """Return the whole key, as its holder sends it."""
    return f"{PREFIX}{key_id}_{_encode(secret)}"


def parse(text: str) -> ParsedKey:
    """Take a key apart.

    Raises a fault of kind UNAUTHENTICATED that says what is wrong and shows nothing of the key.
    """
    if not text.startswith(PREFIX):
        raise _malformed("doesn't begin with pk_")
    key_id, separator, secret_text = text[len(PREFIX) :].partition("_")
    if not separator:
        raise _malformed("has no secret; the form is pk_<id>_<secret>")
    if key_id != BOOTSTRAP and not _ID.fullmatch(key_id):
        raise _malformed(f"has an id that isn't {ID_CHARS} characters of a-z and 0-9")
    if len(secret_text) != SECRET_CHARS:
        raise _malformed(f"has a secret of {len(secret_text)} characters instead of {SECRET_CHARS}")
    if not _SECRET.fullmatch(secret_text):
        raise _malformed("has a secret with characters outside A-Z, a-z, 0-9, - and _")
    try:
        secret = base64.urlsafe_b64decode(secret_text + "=")
    except (binascii.Error, ValueError):
        raise _malformed("has a secret that isn't base64url") from None
    if _encode(secret) != secret_text:
        # Two texts of one secret would be two names of one key.
        raise _malformed("has a secret that isn't canonical base64url")
    return ParsedKey(key_id, secret)


def digest(secret: bytes, server_key: bytes) -> str:
    """Return the keyed hash that the platform keeps of a secret: HMAC-SHA256, as hexadecimal digits."""
    return hmac.new(server_key, secret, hashlib.sha256).hexdigest()


def matches(secret: bytes, server_key: bytes, kept: str) -> bool:
    """Tell whether `secret` is the one whose hash was kept, in a time that doesn't depend on the answer."""
    return hmac.compare_digest(digest(secret, server_key).encode(), kept.encode())


def public_half(secret: bytes) -> str:
    """Return the Ed25519 public key seeded by a secret, base64url without padding; it checks scoped tokens."""
    return _encode(Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw())


def _encode(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _malformed(what: str) -> Fault:
    """Make the fault of a text that can't be a key."""
    return Fault(Kind.UNAUTHENTICATED, "API_KEY_MALFORMED", f"the API key {what}")
