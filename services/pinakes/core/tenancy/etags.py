# SPDX-License-Identifier: Apache-2.0
"""Etags: keyed digests that say whether something changed, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac


class Etags:
    """Makes etags with a key of the deployment."""

    def __init__(self, secret: bytes) -> None:
        """Derive the key."""
        key = hashlib.blake2b(b"etag", key=secret[:64], digest_size=32).digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=15)

    def make(self, *parts: object) -> str:
        """Return the etag of a version: of (revision, content hash), or of (uid, version)."""
        mac = self._keyed.copy()
        mac.update("\0".join(map(str, parts)).encode())
        return base64.urlsafe_b64encode(mac.digest()).decode()

    def matches(self, given: str, *parts: object) -> bool:
        """Tell whether an etag is that of this version."""
        return hmac.compare_digest(given.encode(), self.make(*parts).encode())
