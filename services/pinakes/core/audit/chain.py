# SPDX-License-Identifier: Apache-2.0
"""The chain: every entry has its number, the hash of the one before, and a hash over all of it that only a key can make.

Whoever can write the store but hasn't the key can't change, add, drop or reorder entries unseen, nor cut off the end, because
the head is kept elsewhere too.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]
FIRST = "0" * 64
"""What stands for the hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Head:
    """A place in the chain: number and hash of an entry."""

    sequence: int = 0
    hash: str = FIRST


class Seal:
    """Makes and checks the hashes, with a key derived from a secret of the deployment."""

    def __init__(self, secret: bytes) -> None:
        """Derive the key."""
        self._key = hmac.digest(secret, b"pinakes audit chain 1", "sha256")
        self.key_id = hashlib.sha256(self._key).hexdigest()[:8]
        """Tells which key it is, and nothing of the key."""

    def link(self, head: Head, event: Json) -> Json:
        """Return the entry that puts an event behind a head."""
        entry = event | {"sequence": head.sequence + 1, "previous": head.hash, "key": self.key_id}
        return entry | {"hash": self.mac(entry)}

    def holds(self, entry: Json) -> bool:
        """Tell whether an entry is as it was made."""
        body = {name: value for name, value in entry.items() if name != "hash"}
        return hmac.compare_digest(self.mac(body), str(entry.get("hash", "")))

    def mac(self, body: Json) -> str:
        """Return the hash of a body, whatever the order of its fields."""
        return hmac.new(self._key, orjson.dumps(body, option=orjson.OPT_SORT_KEYS), "sha256").hexdigest()

    def pack(self, body: Json) -> bytes:
        """Return a body with its hash, to be kept where others may write."""
        return orjson.dumps({"body": body, "mac": self.mac(body)})

    def unpack(self, data: bytes) -> Json | None:
        """Return a body that was packed, or None if these bytes aren't as they were made."""
        try:
            packed = orjson.loads(data)
            body = packed["body"]
            good = isinstance(body, dict) and hmac.compare_digest(self.mac(body), packed["mac"])
        except (ValueError, KeyError, TypeError):
            return None
        return body if good else None


def head_of(entry: Json) -> Head:
    """Return the place of an entry."""
    return Head(int(entry["sequence"]), str(entry["hash"]))
