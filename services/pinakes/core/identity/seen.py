# SPDX-License-Identifier: Apache-2.0
"""Credentials that were verified lately: what was proved once isn't proved again while nothing it hangs on has changed."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from pinakes.core.identity.jwt import JwtVerifier
    from pinakes.core.identity.principal import Principal
    from pinakes.core.tenancy.directory import Directory

ENTRIES = 20_000


@dataclass(slots=True)
class Verified:
    """What a credential was found to be, and what that hangs on; nothing for one that is a setting.

    `until_ms` is when it ends at the latest, 0 for never. Of a key, or a token made of one: the version of the key's record. Of
    a JWT: the issuer's keys as they were, an object that another takes the place of when they change.
    """

    principal: Principal
    until_ms: int = 0
    key_id: str = ""
    key_version: int = 0
    issuer_keys: object | None = None


class SeenCredentials:
    """Verified credentials of this process, by a hash of their text: the text itself isn't kept."""

    def __init__(self, directory: Directory, verifier: JwtVerifier | None, entries: int = ENTRIES) -> None:
        """Begin empty. Of more than `entries` the ones that weren't used for longest are forgotten."""
        self._directory = directory
        self._verifier = verifier
        self._most = entries
        # Nobody outside can find two texts of one hash on purpose.
        self._hash = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)
        self._entries: OrderedDict[bytes, Verified] = OrderedDict()

    def name(self, text: str) -> bytes:
        """Return what a credential is remembered by."""
        mac = self._hash.copy()
        mac.update(text.encode())
        return mac.digest()

    def get(self, name: bytes, *, administration: bool) -> Verified | None:
        """Return what a credential was found to be, if that would be found again now.

        That is so while its key's record has the same version and its tenant is there, by records that the directory vouches
        for, or while its issuer's keys are the same. For `administration` neither may be older than a minute.
        """
        found = self._entries.get(name)
        if found is None:
            return None
        if not self._stands(found, administration=administration):
            del self._entries[name]
            return None
        self._entries.move_to_end(name)
        return found

    def remember(self, name: bytes, verified: Verified) -> None:
        """Keep what was found."""
        self._entries[name] = verified
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def _stands(self, found: Verified, *, administration: bool) -> bool:
        if found.until_ms and found.until_ms <= now_ms():
            return False
        if found.issuer_keys is not None:
            return self._verifier is not None and self._verifier.vouches_for(
                found.issuer_keys, administration=administration
            )
        if not found.key_id:
            return True
        key = self._directory.keys.known(found.key_id, administration=administration)
        if key is None or key.version != found.key_version:
            return False
        tenant = self._directory.tenants.known(key.tenant_id, administration=administration)
        return tenant is not None and tenant.whole and tenant.uid == key.tenant_uid
