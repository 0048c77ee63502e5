# SPDX-License-Identifier: Apache-2.0
"""Callers with a client certificate: its SPIFFE id is looked up among the deployment's service accounts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pinakes.core.identity.permissions import SEES_ALL, Role
from pinakes.core.identity.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pinakes.core.settings import Settings

FORWARDED = "x-forwarded-client-cert"
_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*")
# A tenant, by its id or bound to its uid: ID or ID:UID.
_TENANT = re.compile(r"([a-z][a-z0-9-]{1,38}[a-z0-9])(?::([a-z0-9-]{8,64}))?")
# A field of Envoy's header: NAME=VALUE or NAME="VALUE", where quotes inside are escaped.
_FIELD = re.compile(r'([A-Za-z]+)=("(?:\\.|[^"\\])*"|[^;,"]*)(;|,|$)')


class ServiceAccounts:
    """The service accounts of a deployment, by SPIFFE id."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings; an account that can't be meant stops the process."""
        self._proxies = frozenset(_spiffe_id(one, "PINAKES_TRUSTED_PROXIES") for one in settings.trusted_proxies)
        self._accounts = dict(_account(one) for one in settings.service_accounts)
        if both := self._proxies & self._accounts.keys():
            # Whoever came through the proxy without a certificate would be that account.
            message = f"pinakes: PINAKES_SERVICE_ACCOUNTS: {min(both)} is a trusted proxy, which speaks for others only"
            raise SystemExit(message)

    @property
    def any(self) -> bool:
        """Whether there are any: without them nobody needs to look at certificates."""
        return bool(self._accounts)

    def principal(self, names: Sequence[str], metadata: Mapping[str, Any]) -> Principal | None:
        """Return who calls by the names in the certificate that the connection was made with, or None.

        `names` are its URIs as the TLS library has verified them. Those of a trusted proxy stand for whoever its own header
        names; that of any other caller is not looked at.
        """
        if len(names) != 1:
            return None  # a certificate with two names has none (SPIFFE X509-SVID, 2)
        name = names[0]
        if name in self._proxies:
            header = metadata.get(FORWARDED, "")
            forwarded = forwarded_uris(header) if isinstance(header, str) else []
            if len(forwarded) != 1:
                return None
            name = forwarded[0]
        return self._accounts.get(name)


def forwarded_uris(header: str) -> list[str]:
    """Return the URIs that the last certificate in a forwarded header has: the one that the nearest proxy has seen.

    Nothing at all for a header that can't be read to its end.
    """
    uris: list[str] = []
    place = 0
    while place < len(header):
        found = _FIELD.match(header, place)
        if found is None:
            return []
        if found[1].lower() == "uri":
            uris.append(re.sub(r"\\(.)", r"\1", found[2][1:-1]) if found[2].startswith('"') else found[2])
        if found[3] == ",":
            uris = []
        place = found.end()
    return uris


def _account(text: str) -> tuple[str, Principal]:
    name, _, said = text.partition("=")
    spiffe_id = _spiffe_id(name, "PINAKES_SERVICE_ACCOUNTS")
    role_text, separator, tenant_text = said.partition("@")
    named = [_TENANT.fullmatch(one) for one in tenant_text.split("+")] if separator else []
    tenants = tuple(one[1] for one in named if one)
    uids = tuple(one[2] for one in named if one and one[2])
    role = next((role for role in Role if role == role_text), None)
    if role is None:
        wrong = f"its role isn't one of {', '.join(Role)}"
    elif role is Role.ADMIN and separator:
        wrong = "an admin is one of all tenants; leave the @ out"
    elif role is not Role.ADMIN and not (tenants and all(named)):
        wrong = "it must name its tenant by id, as service@acme, or bound to its uid, as service@acme:UID"
    elif len(tenants) > 1 and role is not Role.SERVICE:
        wrong = "only a service may have several tenants"
    elif uids and len(uids) < len(tenants):
        wrong = "it must have the uids of all of its tenants, or none"
    elif role is Role.ADMIN:
        return spiffe_id, Principal(spiffe_id, role, None, None, credential=spiffe_id)
    else:
        readers = None if role in SEES_ALL else ()
        return spiffe_id, Principal(spiffe_id, role, tenants, readers, uids or None, spiffe_id)
    message = f"pinakes: PINAKES_SERVICE_ACCOUNTS: {spiffe_id}: {wrong}"
    raise SystemExit(message)


def _spiffe_id(text: str, variable: str) -> str:
    if not _SPIFFE.fullmatch(text):
        message = f"pinakes: {variable}: {text!r} isn't a SPIFFE id, such as spiffe://acme.example/indexer"
        raise SystemExit(message)
    return text
