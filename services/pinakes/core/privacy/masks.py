# SPDX-License-Identifier: Apache-2.0
"""What is shown instead of personal data: masks that keep a shape, and hashes that only the platform can make."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

MASKED = "\u2022\u2022\u2022"
"""What is shown of text that has no shape worth keeping: neither its length nor its beginning."""

HASHED = "h:"
_E_MAIL = re.compile(r"([^\s@])([^\s@]*)@([^\s@.])[^\s@]*\.([^\s@.]{1,24})")
_HASH_BYTES = 16


def masked(text: str) -> str:
    """Return what is shown of a text: of an e-mail address its beginnings and its last label, of any other nothing."""
    found = _E_MAIL.fullmatch(text)
    if found is None:
        return MASKED if text else ""
    first, rest, domain, last = found.groups()
    # One letter alone would be the whole of it.
    return f"{first if rest else '*'}***@{domain}***.{last}"


class Pseudonyms:
    """Makes hashes with a key of each tenant: the same value has the same one in all of a tenant's collections."""

    def __init__(self, secret: bytes) -> None:
        """Derive from the deployment's secret; with another one, all hashes are others."""
        self._key = hashlib.blake2b(b"pseudonym", key=secret[:64], digest_size=32).digest()
        self._tenant_key = lru_cache(maxsize=1024)(self._derived)

    def make(self, tenant_uid: str, value: str) -> str:
        """Return the hash of a value of a tenant: `h:` and 22 characters."""
        digest = hashlib.blake2b(value.encode(), key=self._tenant_key(tenant_uid), digest_size=_HASH_BYTES).digest()
        return HASHED + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _derived(self, tenant_uid: str) -> bytes:
        return hashlib.blake2b(tenant_uid.encode(), key=self._key, digest_size=32).digest()
