# SPDX-License-Identifier: Apache-2.0
"""`pinakes tenants suspend`, `resume`, `undelete`, `erase`, `export` and what belongs to receipts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pinakes.cli._administration import Etag, tenant_rows, tenants
from pinakes.cli._failures import Failure
from pinakes.cli._operations import RequestId, Wait, follow
from pinakes.cli._session import Session, calling
from pinakes.client import read_receipt, verify_receipt, write_receipt
from pinakes.v1.lifecycle_pb2 import EraseTenantResponse, ErasureReceipt, ErasureStatement

__all__ = ["tenants"]


@tenants.command("undelete")
@calling
def undelete_tenant(
    session: Session, tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")], etag: Etag = ""
) -> None:
    """Undelete a tenant, with all that is its, until it is purged."""
    with session.client() as client:
        found = client.undelete_tenant(tenant, etag=etag)
    session.show(found, tenant_rows(found))


@tenants.command("suspend")
@calling
def suspend_tenant(
    session: Session,
    tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for other administrators.")],
    etag: Etag = "",
) -> None:
    """Suspend a tenant: its keys and tokens are refused everywhere within 5 s."""
    with session.client() as client:
        found = client.suspend_tenant(tenant, reason, etag=etag)
    session.show(found, tenant_rows(found))


@tenants.command("resume")
@calling
def resume_tenant(
    session: Session, tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")], etag: Etag = ""
) -> None:
    """Resume a suspended tenant: its keys and tokens work again within 5 s."""
    with session.client() as client:
        found = client.resume_tenant(tenant, etag=etag)
    session.show(found, tenant_rows(found))


@tenants.command("erase")
@calling
def erase_tenant(
    session: Session,
    tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    confirm: Annotated[str, typer.Option("--confirm", help="The id once more: nothing brings it back.", metavar="ID")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the receipt.")] = "",
    uid: Annotated[str, typer.Option("--uid", help="Its uid: no other that has the id by now is reached.")] = "",
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Where to write the receipt.", metavar="FILE")
    ] = None,
    wait: Wait = True,
) -> None:
    """Erase a tenant for good: all that is its is removed from every store, and a signed receipt says so."""
    with session.client() as client:
        started = client.erase_tenant(tenant, confirm=confirm, reason=reason, uid=uid)
        ended = follow(session, client, started, wait=wait)
    if receipt is not None and isinstance(ended.response, EraseTenantResponse):
        _save(receipt, ended.response.receipt)


@tenants.command("receipt")
@calling
def get_receipt(
    session: Session,
    tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    uid: Annotated[str, typer.Option("--uid", help="Uid, if another tenant has the id by now.")] = "",
    to: Annotated[Path | None, typer.Option("--to", help="Where to write it.", metavar="FILE")] = None,
) -> None:
    """Read the receipt of an erased tenant."""
    with session.client() as client:
        found = client.get_erasure_receipt(tenant, uid=uid)
    if to is None:
        sys.stdout.write(write_receipt(found))
    else:
        _save(to, found)


@tenants.command("receipt-key")
@calling
def receipt_key(session: Session) -> None:
    """Print the public key that receipts are checked with, PEM. Keep it apart from the receipts."""
    with session.client() as client:
        sys.stdout.write(client.get_receipt_key().public_key)


@tenants.command("verify-receipt")
@calling
def verify(
    session: Session,
    receipt: Annotated[Path, typer.Argument(help="The receipt.", metavar="FILE")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The public key; the platform is asked for it if left out.", metavar="FILE"),
    ] = None,
) -> None:
    """Check a receipt, without the platform if there is a key, and tell what it says. The exit code is 1 if it isn't right."""
    found = read_receipt(receipt.read_text(encoding="utf-8"))
    if key is None:
        with session.client() as client:
            public_key = client.get_receipt_key().public_key
    else:
        public_key = key.read_text(encoding="utf-8")
    try:
        statement = verify_receipt(found, public_key)
    except ValueError as error:
        raise Failure("RECEIPT_WRONG", f"{receipt}: {error}", "don't rely on it", 1) from None
    session.show(statement, receipt_rows(statement))


@tenants.command("export")
@calling
def export_tenant(
    session: Session,
    destination: Annotated[str, typer.Argument(help="What all names begin with: s3://… or file:///….", metavar="URI")],
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id; `-` is the key's own.", metavar="ID")] = "-",
    compression: Annotated[str, typer.Option("--compression", help="Of documents: none, gzip or zstd.")] = "",
    wait: Wait = True,
    request_id: RequestId = "",
) -> None:
    """Export all that is a tenant's: documents, collections, keys without secrets, and a manifest with checksums."""
    with session.client() as client:
        started = client.export_tenant(destination, tenant=tenant, compression=compression, request_id=request_id)
        follow(session, client, started, wait=wait)


def receipt_rows(statement: ErasureStatement) -> list[tuple[str, str]]:
    """Return what a receipt says, in rows for people."""
    removed = [
        f"{one.kind}: {one.count:,} removed, {one.remaining:,} left{_short(one.checksum)}" for one in statement.removed
    ]
    return [
        ("tenant", statement.tenant),
        ("uid", statement.uid),
        ("asked for by", statement.requester),
        ("because", statement.reason),
        ("asked for", statement.request_time.ToJsonString()),
        ("stopped", statement.stop_time.ToJsonString()),
        ("finished", statement.finish_time.ToJsonString()),
        ("removed", "\n".join(removed)),
        ("kept", "\n".join(f"{one.kind}: {one.reason}" for one in statement.kept)),
        ("signature", "right"),
    ]


def _short(checksum: str) -> str:
    return f", ids {checksum[:16]}…" if checksum else ""


def _save(path: Path, receipt: ErasureReceipt) -> None:
    path.write_text(write_receipt(receipt), encoding="utf-8")
    sys.stderr.write(f"the receipt is in {path}\n")
