# SPDX-License-Identifier: Apache-2.0
"""Callers of the isolation matrix who show a client certificate: service accounts, nobodies, and a proxy that speaks for others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from pinakes.core.identity.permissions import Role
from tests.e2e._credentials import Credential, Earlier, Opens
from tests.e2e._matrix import Tls
from tests.integration._certificates import Pair, issue, tls_settings

_TRUST = "spiffe://acme.example/"
_PROXY, _NOBODY = _TRUST + "proxy", _TRUST + "nobody"
_ROLES = (Role.TENANT_ADMIN, Role.SERVICE, Role.TENANT_USER)


@dataclass(frozen=True, slots=True)
class Accounts:
    """What makes servers speak TLS and know the accounts, and credentials: of the suspended tenant, of one whose id another
    has by now, and all others.
    """

    tls: Tls
    settings: dict[str, str]
    credentials: list[Credential]
    suspended: Credential
    earlier: Credential


def accounts(folder: Path, mine: str, second: str, asleep: str, gone: str, earlier: Earlier) -> Accounts:
    """Make an authority and certificates of it; the ids are those of tenants, `asleep` suspended, and `gone` deleted."""
    authority = issue("authority")
    known = {f"{_TRUST}{role}": f"{role}@{mine}" for role in _ROLES}
    known |= {
        _TRUST + "both": f"{Role.SERVICE}@{mine}+{second}", _TRUST + "asleep": f"{Role.SERVICE}@{asleep}",
        _TRUST + "gone": f"{Role.SERVICE}@{gone}", _TRUST + "admin": Role.ADMIN.value,
        _TRUST + "earlier": f"{Role.SERVICE}@{earlier.tenant_id}:{earlier.uid}",
    }  # fmt: skip
    settings = {
        **tls_settings(folder, authority), "PINAKES_TRUSTED_PROXIES": _PROXY,
        "PINAKES_SERVICE_ACCOUNTS": ",".join(f"{name}={what}" for name, what in known.items()),
    }  # fmt: skip
    sleeper = _certified(
        "suspended, certificate: service", authority, _TRUST + "asleep", opens=Opens.ONE_TENANT, role=Role.SERVICE,
        alive=False,
    )  # fmt: skip
    former = _certified(
        "certificate: of an earlier tenant of the name", authority, _TRUST + "earlier", opens=Opens.ONE_TENANT,
        role=Role.SERVICE, alive=False,
    )  # fmt: skip
    machine = issue("client", authority, [x509.DNSName("client")])
    tls = Tls(authority.pem, (machine.key_pem, machine.pem))
    return Accounts(tls, settings, list(_credentials(authority)), sleeper, former)


def _credentials(authority: Pair) -> Iterator[Credential]:
    one = Opens.ONE_TENANT
    for role in _ROLES:
        yield _certified(f"certificate: {role}", authority, _TRUST + role, opens=one, role=role)
    service = _TRUST + Role.SERVICE
    yield _certified("certificate: service of two tenants", authority, _TRUST + "both", opens=one, role=Role.SERVICE)
    yield _certified(
        "certificate: of a proxy for a service", authority, _PROXY, forwarded=f"By={_PROXY};URI={service}", opens=one,
        role=Role.SERVICE,
    )  # fmt: skip
    yield _certified(
        "certificate: service, which says to speak for an administrator", authority, service,
        forwarded=f"By={_PROXY};URI={_TRUST}admin", opens=one, role=Role.SERVICE,
    )  # fmt: skip
    yield _certified(
        "certificate: of a deleted tenant", authority, _TRUST + "gone", opens=one, role=Role.SERVICE, alive=False
    )
    yield _certified("administrator: certificate", authority, _TRUST + "admin", opens=Opens.ALL, role=Role.ADMIN)
    yield _certified("certificate: of no account", authority, _NOBODY)
    yield _certified("certificate: with two names", authority, service, _TRUST + Role.TENANT_USER)
    yield _certified("certificate: of a proxy for nobody", authority, _PROXY)
    yield _certified("certificate: of a proxy for no account", authority, _PROXY, forwarded=f"URI={_NOBODY}")
    yield _certified("certificate: of a nobody for an account", authority, _NOBODY, forwarded=f"URI={service}")
    yield Credential("certificate: without a name, for an account", None, forwarded=f"By={_PROXY};URI={service}")


def _certified(label: str, authority: Pair, *uris: str, **more: Any) -> Credential:
    """Return a credential that is a certificate with these names."""
    made = issue("client", authority, [x509.UniformResourceIdentifier(uri) for uri in uris])
    return Credential(label, None, certificate=(made.key_pem, made.pem), **more)
