# SPDX-License-Identifier: Apache-2.0
"""`pinakes failed`: writes that were accepted and couldn't be applied."""

from __future__ import annotations

from typing import Annotated

import typer

from pinakes.cli._session import CollectionOption, Session, TenantOption, calling, usage
from pinakes.client import _names
from pinakes.client._errors import from_status
from pinakes.v1.failures_pb2 import FailedWrite

failed_writes = typer.Typer(
    no_args_is_help=True, help="List, retry and discard writes that were accepted and couldn't be applied."
)

Names = Annotated[list[str], typer.Argument(help="Ids of failed writes, as `list` shows them.", metavar="ID…")]
All = Annotated[bool, typer.Option("--all", help="All of the collection.")]


@failed_writes.command("list")
@calling
def list_failed(session: Session, collection: CollectionOption = "default", tenant: TenantOption = "-") -> None:
    """List failed writes with their reasons, oldest first. They are kept for seven days."""
    with session.client() as client:
        session.show_all(
            client.list_failed_writes(collection=collection, tenant=tenant),
            ("ID", "DOCUMENT", "WRITE", "REASON", "FAILED", "RETRIES", "MESSAGE"),
            _row,
            "there are no failed writes",
        )


@failed_writes.command("retry")
@calling
def retry(
    session: Session,
    names: Names = [],  # noqa: B006 - typer copies it
    all: All = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Queue failed writes again, at their own revisions: what was written to a document since then stands."""
    _check(names, all=all)
    with session.client() as client:
        queued, kept = client.retry_failed_writes(names, all=all, collection=collection, tenant=tenant)
    stay = f", {kept:,} stay: the tenant has no room for them" if kept else ""
    session.done(f"{queued:,} queued again{stay}", count=str(queued), kept=str(kept))


@failed_writes.command("discard")
@calling
def discard(
    session: Session,
    names: Names = [],  # noqa: B006 - typer copies it
    all: All = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Give failed writes up: they are deleted."""
    _check(names, all=all)
    with session.client() as client:
        count = client.discard_failed_writes(names, all=all, collection=collection, tenant=tenant)
    session.done(f"{count:,} discarded", count=str(count))


def _check(names: list[str], *, all: bool) -> None:
    if bool(names) == all:
        raise usage("which failed writes? give their IDs, or --all")


def _row(write: FailedWrite) -> tuple[str, str, str, str, str, str, str]:
    error = from_status(write.status)
    return (
        _names.last(write.name),
        _names.last(write.document.name),
        "delete" if write.deletion else "put",
        error.reason,
        write.fail_time.ToJsonString(),
        str(write.retries),
        " ".join(error.message.split()),
    )
