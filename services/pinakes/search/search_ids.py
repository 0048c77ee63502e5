# SPDX-License-Identifier: Apache-2.0
"""Search ids: what ties an event to the search that led to it, signed, so that nothing is stored for those that lead to none."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass

from pinakes.core.faults import Fault, Kind, Violation, invalid

SECONDS = 86_400
"""How long an id is good for."""

QUERY_CHARS = 200
_FORMAT = b"\x01"
_TIME_BYTES, _DIGEST_BYTES, _MAC_BYTES = 5, 10, 12
_PAYLOAD = 1 + _TIME_BYTES + _DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as insights tell it, in lower case with single spaces, and the digest that stands for it in ids."""

    text: str
    digest: bytes


def asked(query: str) -> Asked:
    """Return a query as insights tell it, at most 200 characters."""
    text = " ".join(query.lower().split())[:QUERY_CHARS]
    return Asked(text, hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest())


class SearchIds:
    """Makes and reads search ids with a key of the deployment. An id holds a time and a digest, and no name."""

    def __init__(self, secret: bytes) -> None:
        """Derive the key."""
        self._key = hashlib.blake2b(b"search-id", key=secret[:64], digest_size=32).digest()

    def make(self, tenant_uid: str, collection_uid: str, digest: bytes) -> str:
        """Return the id of a search of now."""
        payload = _FORMAT + int(time.time()).to_bytes(_TIME_BYTES, "big") + digest
        return base64.urlsafe_b64encode(payload + self._mac(payload, tenant_uid, collection_uid)).rstrip(b"=").decode()

    def read(self, search_id: str, tenant_uid: str, collection_uid: str) -> bytes:
        """Return the digest of the query of a search. Raises a `Fault`: SEARCH_ID_INVALID or SEARCH_ID_EXPIRED."""
        try:
            raw = base64.urlsafe_b64decode(search_id + "=" * (-len(search_id) % 4))
        except (binascii.Error, ValueError):
            raise _not_one() from None
        payload, mac = raw[:_PAYLOAD], raw[_PAYLOAD:]
        if raw[:1] != _FORMAT or not hmac.compare_digest(mac, self._mac(payload, tenant_uid, collection_uid)):
            raise _not_one()
        if int.from_bytes(payload[1 : 1 + _TIME_BYTES], "big") < time.time() - SECONDS:
            text = "is of a search more than a day ago"
            violation = (Violation("search_id", text),)
            raise Fault(Kind.PRECONDITION, "SEARCH_ID_EXPIRED", f"search_id: {text}", violation)
        return payload[1 + _TIME_BYTES :]

    def _mac(self, payload: bytes, tenant_uid: str, collection_uid: str) -> bytes:
        owner = f"\0{tenant_uid}\0{collection_uid}".encode()
        return hashlib.blake2b(payload + owner, key=self._key, digest_size=_MAC_BYTES).digest()


def _not_one() -> Fault:
    text = "isn't the id of a search in this collection; send search_id of an answer as it came"
    return invalid("search_id", text, "SEARCH_ID_INVALID")
