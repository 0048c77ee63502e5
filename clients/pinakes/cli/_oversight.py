# SPDX-License-Identifier: Apache-2.0
"""`pinakes usage` and `pinakes audit`: what a tenant has and did, and who did what."""

from __future__ import annotations

import itertools
import sys
from typing import Annotated

import typer

from pinakes.cli._session import Session, TenantOption, calling, plain, print_json, print_table
from pinakes.cli._session import usage as wrong
from pinakes.v1.audit_pb2 import AuditEvent


@calling
def usage(
    session: Session,
    start: Annotated[str, typer.Option("--from", help="First day, UTC; 29 days before the last.", metavar="DAY")] = "",
    end: Annotated[str, typer.Option("--to", help="Last day, UTC; today.", metavar="DAY")] = "",
    tenant: TenantOption = "-",
) -> None:
    """Tell what a tenant has now, and what it did on each day."""
    with session.client() as client:
        found = client.get_usage(start_day=start, end_day=end, tenant=tenant)
    if session.as_json:
        print_json(plain(found))
        return
    rows = [
        (day.day, f"{day.documents:,}", f"{day.bytes:,}", f"{day.searches:,}", f"{day.writes:,}", f"{day.cost:,.1f}")
        for day in found.days
    ]
    print_table(("DAY", "DOCUMENTS", "BYTES", "SEARCHES", "WRITES", "COST"), rows)
    sys.stderr.write(
        f"{found.documents:,} documents of {found.bytes:,} bytes now; {found.searches:,} searches, "
        f"{found.writes:,} writes, cost {found.cost:,.1f}\n"
    )


@calling
def audit(
    session: Session,
    filter_: Annotated[
        str, typer.Option("--filter", "-f", help='Which events, such as kind="SECURITY".', metavar="FILTER")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Events at most; 0 for all.", min=0)] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="Of all tenants and of none (administrators' keys).")
    ] = False,
    tenant: TenantOption = "-",
) -> None:
    """List who did what in a tenant, and who was refused, the newest first."""
    if everything and tenant != "-":
        raise wrong("--all and --tenant don't go together")
    with session.client() as client:
        found = (
            client.list_platform_audit_events(filter_)
            if everything
            else client.list_audit_events(filter_, tenant=tenant)
        )
        session.show_all(
            itertools.islice(found, limit or None),
            ("TIME", "KIND", "ACTION", "WHO", "TENANT", "RESOURCE", "OUTCOME", "TIMES"),
            _row,
            "there are no such events",
        )


def _row(event: AuditEvent) -> tuple[str, ...]:
    outcome = event.code if not event.reason else f"{event.code} {event.reason}"
    return (
        event.time.ToJsonString(), AuditEvent.Kind.Name(event.kind).removeprefix("KIND_").lower(), event.action,
        event.subject or event.credential, event.tenant.removeprefix("tenants/"), event.resource, outcome,
        f"{event.count:,}",
    )  # fmt: skip
