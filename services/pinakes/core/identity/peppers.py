# SPDX-License-Identifier: Apache-2.0
"""The server's keys that secrets are hashed with: the first hashes, all verify, so that one can take another's place."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pinakes.core.identity import keys

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

SECRET_KEY = ""
"""Id of the pepper that is `PINAKES_SECRET_KEY`: of deployments that have no other, and of keys made before they had."""


class Peppers:
    """The peppers of a deployment, by the ids that key records name them by."""

    def __init__(self, settings: Settings) -> None:
        """Read them from the settings; without any, the secret key is the only one.

        It may be the first of several, too, so that what will hash next is known everywhere before it does.
        """
        secret = settings.secret_key.get_secret_value().encode()
        given = [one.encode() for one in settings.key_pepper_list] or [secret]
        self._by_id = {pepper_id(one): one for one in given} | {SECRET_KEY: secret}
        self.newest = SECRET_KEY if given[0] == secret else pepper_id(given[0])

    def digest(self, secret: bytes) -> str:
        """Return the hash of a secret with the newest pepper."""
        return keys.digest(secret, self._by_id[self.newest])

    def matches(self, secret: bytes, pepper: str, kept: str) -> bool:
        """Tell whether `secret` is the one that was hashed with this pepper; False if the pepper isn't there any more."""
        server_key = self._by_id.get(pepper)
        return server_key is not None and keys.matches(secret, server_key, kept)


def pepper_id(pepper: bytes) -> str:
    """Return the id of a pepper: 8 hexadecimal digits that are always the same and lead to nothing."""
    return hashlib.blake2b(pepper, digest_size=4, person=b"pinakes pepper").hexdigest()
