# SPDX-License-Identifier: Apache-2.0
"""Service accounts: SPIFFE ids of certificates, and the header of a trusted proxy, which is nobody else's to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pinakes.core.identity.certificates import ServiceAccounts, forwarded_uris
from pinakes.core.identity.permissions import Role
from pinakes.core.settings import Settings

INDEXER, OPS, PROXY = (
    "spiffe://acme.example/ns/prod/indexer",
    "spiffe://acme.example/ops",
    "spiffe://acme.example/envoy",
)


def accounts(tmp_path: Path, *given: str, proxies: tuple[str, ...] = ()) -> ServiceAccounts:
    """Return the accounts that these settings make."""
    file = tmp_path / "pem"
    file.touch()
    return ServiceAccounts(Settings(
        secret_key=SecretStr("s" * 32), tls_cert_file=file, tls_key_file=file, tls_client_ca_file=file,
        service_accounts=list(given), trusted_proxies=list(proxies),
    ))  # fmt: skip


def test_an_id_is_a_role_in_its_tenants(tmp_path: Path) -> None:
    made = accounts(tmp_path, f"{INDEXER}=service@acme+globex", f"{OPS}=admin", f"{OPS}/reader=tenant-user@acme")
    found = made.principal([INDEXER], {})
    assert found is not None
    assert (found.role, found.tenants, found.readers, found.credential) == (
        Role.SERVICE,
        ("acme", "globex"),
        None,
        INDEXER,
    )
    admin = made.principal([OPS], {})
    assert admin is not None
    assert (admin.role, admin.tenants, admin.readers) == (Role.ADMIN, None, None)
    reader = made.principal([f"{OPS}/reader"], {})
    assert reader is not None
    assert reader.readers == ()


def test_an_account_is_bound_to_the_uids_of_its_tenants_if_they_are_said(tmp_path: Path) -> None:
    uids = ("0123456789abcdef0123456789abcdef", "fedcba98-7654-3210-fedc-ba9876543210")
    made = accounts(tmp_path, f"{INDEXER}=service@acme:{uids[0]}+globex:{uids[1]}", f"{OPS}=tenant-admin@acme")
    bound, free = made.principal([INDEXER], {}), made.principal([OPS], {})
    assert bound is not None
    assert (bound.tenants, bound.tenant_uids) == (("acme", "globex"), uids)
    assert free is not None
    assert (free.tenants, free.tenant_uids) == (("acme",), None)


def test_another_id_none_and_two_are_nobody(tmp_path: Path) -> None:
    made = accounts(tmp_path, f"{OPS}=admin")
    for names in (
        [],
        [INDEXER],
        [OPS, INDEXER],
        [OPS, "https://acme.example"],
        [OPS + "/"],
        [OPS.upper()],
        [OPS + "%2f"],
    ):
        assert made.principal(names, {}) is None


def test_a_header_counts_if_a_trusted_proxy_has_sent_it_and_changes_nothing_else(tmp_path: Path) -> None:
    made = accounts(tmp_path, f"{OPS}=admin", f"{INDEXER}=service@acme", proxies=(PROXY,))
    header = {"x-forwarded-client-cert": f"By={PROXY};Hash=ab;URI={OPS}"}
    found = made.principal([PROXY], header)
    assert found is not None
    assert found.subject == OPS
    assert made.principal([PROXY], {}) is None
    assert made.principal([], header) is None
    mine = made.principal([INDEXER], header)
    assert mine is not None
    assert mine.subject == INDEXER
    assert accounts(tmp_path, f"{OPS}=admin").principal([PROXY], header) is None


@pytest.mark.parametrize(
    ("header", "uris"),
    [
        ("", []),
        ("URI=spiffe://a/b", ["spiffe://a/b"]),
        ('Hash=1;Subject="CN=x,O=\\"y;URI=spiffe://evil/x\\"";URI=spiffe://a/b', ["spiffe://a/b"]),
        ("URI=spiffe://evil/x,By=p;URI=spiffe://a/b", ["spiffe://a/b"]),
        ("URI=spiffe://evil/x,Hash=1", []),
        ("URI=spiffe://a/b;URI=spiffe://a/c", ["spiffe://a/b", "spiffe://a/c"]),
        ('URI=spiffe://a/b;Subject="x', []),
        ("URI=spiffe://a/b;broken", []),
    ],
)
def test_the_last_certificate_of_a_header_is_the_proxy_s_own_word(header: str, uris: list[str]) -> None:
    assert forwarded_uris(header) == uris


@pytest.mark.parametrize(
    "account",
    [
        "https://acme.example=admin", "spiffe://acme.example", f"{OPS}=", f"{OPS}=emperor@acme", f"{OPS}=service", f"{OPS}=admin@acme",
        f"{OPS}=service@", f"{OPS}=service@Acme", f"{OPS}=service@acme+Globex", f"{OPS}=tenant-user@a-b+c-d", f"{OPS}=service@acme:",
        f"{OPS}=service@acme:short", f"{OPS}=service@acme:0123abcd+globex", f"{OPS}=service@acme:0123abcd:0123abcd", "spiffe://acme.example/../x=admin2",
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_meant_stops_the_process(tmp_path: Path, account: str) -> None:
    with pytest.raises(SystemExit, match="PINAKES_SERVICE_ACCOUNTS"):
        accounts(tmp_path, account)


def test_a_trusted_proxy_is_no_account_or_whoever_came_through_it_would_be_that(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="trusted proxy"):
        accounts(tmp_path, f"{PROXY}=admin", proxies=(PROXY,))
