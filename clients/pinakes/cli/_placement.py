# SPDX-License-Identifier: Apache-2.0
"""`pinakes tenants move`: a tenant's documents brought to another pool or an index of their own, with progress."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from pinakes.cli._failures import Failure
from pinakes.cli._operations import RequestId, Wait, follow
from pinakes.cli._session import Session, calling, plain, print_json
from pinakes.v1.placement_pb2 import MoveTenantResponse, Place, Placement

# An administrator who waits reads the tenant's operations, and has to say why.
_REASON = "waits for the move that this command has started"


@calling
def move_tenant(
    session: Session,
    tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    pool: Annotated[int, typer.Option("--pool", help="Number of the pool to move to.", min=-1, max=999)] = -1,
    dedicated: Annotated[bool, typer.Option("--dedicated", help="Move to an index of its own.")] = False,
    shards: Annotated[int, typer.Option("--shards", help="Its shards; 0 is as many as a pool has.", min=0, max=64)] = 0,
    window: Annotated[
        float, typer.Option("--window", help="Seconds in which it can be rolled back; -1 is the deployment's.", min=-1)
    ] = -1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say where it would go.")] = False,
    wait: Wait = True,
    request_id: RequestId = "",
) -> None:
    """Move a tenant to another pool or to an index of its own, while it goes on reading and writing.

    `pinakes operations cancel` rolls it back, until its window is over.
    """
    if (pool >= 0) == dedicated:
        raise Failure("USAGE", "say where to move it", "give --pool NUMBER or --dedicated, and not both", 2)
    with dataclasses.replace(session, admin_reason=session.admin_reason or _REASON).client() as client:
        started = client.move_tenant(
            tenant, pool=None if dedicated else pool, shards=shards,
            rollback_window=None if window < 0 else window, validate_only=dry_run, request_id=request_id,
        )  # fmt: skip
        if not dry_run:
            follow(session, client, started, wait=wait)
            return
    found = started.result()
    if session.as_json or not isinstance(found, MoveTenantResponse):
        print_json(plain(found))
    else:
        told = found.placement
        session.done(f"would move {tenant} from {place(told.source)} to {place(told.target)}")


def place(message: Place) -> str:
    """Return a place in words."""
    if message.kind == Place.KIND_POOLED:
        return f"pool {message.pool}"
    return f"an index of its own with {message.shards or 1} shard{'' if message.shards <= 1 else 's'}"


def state(placement: Placement) -> str:
    """Return a placement in words: where reads go, and what is under way."""
    step = Placement.State.Name(placement.state).removeprefix("STATE_").lower()
    text = place(placement.place)
    if placement.state == Placement.STATE_SETTLED:
        return text
    back = ", rolled back" if placement.rolled_back else ""
    return f"{text}; moving from {place(placement.source)} to {place(placement.target)}: {step}{back}"
