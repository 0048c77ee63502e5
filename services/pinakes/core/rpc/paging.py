# SPDX-License-Identifier: Apache-2.0
"""Page tokens: opaque, bound to the request they continue, and without authority of their own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson
from google.protobuf.message import Message

from pinakes.core.faults import Fault, Kind, Violation

_FORMAT = b"\x01"
_MAC_BYTES = 12


class PageTokens:
    """Makes and reads page tokens with a key of the deployment."""

    def __init__(self, secret: bytes) -> None:
        """Keep the key that tokens are signed with."""
        self._key = hashlib.blake2b(b"page-token", key=secret[:64], digest_size=32).digest()

    def make(self, request: Message, tenant_uid: str, values: Any) -> str:
        """Return the token that continues this request after a result with these sort values."""
        payload = orjson.dumps(values)
        mac = self._mac(payload, _binding(request, tenant_uid))
        return base64.urlsafe_b64encode(_FORMAT + mac + payload).rstrip(b"=").decode()

    def read(self, request: Message, tenant_uid: str) -> Any:
        """Return the sort values in the request's page token, or None if it has none.

        Raises a fault if the token isn't one, or belongs to another request.
        """
        token: str = request.page_token  # type: ignore[attr-defined]  # every paged request has the field
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise _refused("PAGE_TOKEN_MALFORMED", "isn't a page token; send next_page_token as it came") from None
        mac, payload = raw[1 : 1 + _MAC_BYTES], raw[1 + _MAC_BYTES :]
        if raw[:1] != _FORMAT or not payload:
            raise _refused("PAGE_TOKEN_MALFORMED", "isn't a page token; send next_page_token as it came")
        if not hmac.compare_digest(mac, self._mac(payload, _binding(request, tenant_uid))):
            raise _refused(
                "PAGE_TOKEN_MISMATCH",
                "belongs to another request; keep everything but page_size the same, or start anew",
            )
        return orjson.loads(payload)

    def _mac(self, payload: bytes, binding: bytes) -> bytes:
        return hmac.digest(self._key, binding + payload, "sha256")[:_MAC_BYTES]


def _binding(request: Message, tenant_uid: str) -> bytes:
    """Digest what must stay the same from page to page."""
    same = type(request)()
    same.CopyFrom(request)
    same.ClearField("page_token")
    same.ClearField("page_size")
    text = request.DESCRIPTOR.full_name.encode() + b"\0" + tenant_uid.encode() + b"\0"
    return hashlib.sha256(text + same.SerializeToString(deterministic=True)).digest()


def _refused(reason: str, description: str) -> Fault:
    return Fault(Kind.INVALID, reason, f"page_token: {description}", (Violation("page_token", description),))
