# SPDX-License-Identifier: Apache-2.0
"""The demo's third tenant, which stays for the length of the demo: it meets its limit, is erased, and leaves a receipt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinakes.client import AlreadyExists, AsyncClient, NotFound, RateLimited, document, verify_receipt
from pinakes.v1.lifecycle_pb2 import EraseTenantResponse

VISITOR = "visitor"
REASON = "the demo erases what it made"
RATE = 5.0
_NOTES = 12
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Visit:
    """An erasure that goes on while the rest of the demo is shown."""

    operation: str


async def visit(console: Console, admin: AsyncClient, endpoint: str) -> Visit:
    """Make the tenant, fill it, show what happens beyond its limit, and ask for its erasure. Raises PinakesError."""
    console.print(f"\n[b]{VISITOR}[/b]: a tenant that may send {RATE:g} requests a second, and is erased at the end")
    try:
        await admin.create_tenant(VISITOR, display_name="A visitor", rate_limit=RATE)
    except AlreadyExists:
        pass  # an earlier run was stopped
    key = (await admin.create_key("service", tenant=VISITOR)).secret
    async with AsyncClient(endpoint, key=key) as client:
        notes = [document(f"note-{n}", title=f"Note {n}") for n in range(_NOTES)]
        written = await client.batch_write(notes, mode="searchable")
        console.print(f"  {len(written.results)} documents written in one call")
        await _limit(console, client)
    started = await admin.erase_tenant(VISITOR, confirm=VISITOR, reason=REASON)
    console.print(f"  asked for its erasure: {escape(started.name)}")
    return Visit(started.name)


async def _limit(console: Console, client: AsyncClient) -> None:
    """Send more than the limit allows, and show the refusal with the time to come again."""
    for number in range(1, 50):
        try:
            await client.count_documents()
        except RateLimited as error:
            wait = f"{error.retry_after:.2f} s" if error.retry_after is not None else "a while"
            console.print(f"  call {number} in a row: RESOURCE_EXHAUSTED, {escape(str(error))}; come again in {wait}")
            await asyncio.sleep(error.retry_after or 0.0)
            return
    message = "the visitor's limit didn't hold"
    raise RuntimeError(message)


async def farewell(console: Console, admin: AsyncClient, visit: Visit) -> bool:
    """Show the receipt of the erasure, checked; return whether nothing was left."""
    console.print(f"\n[b]{VISITOR} is erased[/b], with a receipt")
    ended = await admin.wait_operation(visit.operation, timeout=_SECONDS)
    answer = ended.result()
    if not isinstance(answer, EraseTenantResponse):
        message = "the erasure has no receipt"
        raise TypeError(message)
    key = await admin.get_receipt_key()
    statement = verify_receipt(answer.receipt, key.public_key)
    table = Table()
    for column in ("kind", "removed", "left", "checksum of the ids"):
        table.add_column(column, justify="right" if column in {"removed", "left"} else "left")
    for one in statement.removed:
        table.add_row(one.kind, f"{one.count:,}", f"{one.remaining:,}", one.checksum[:16])
    console.print(table)
    console.print(f"  signed with the key {key.key_id}: right")
    try:
        await admin.search("note", tenant=VISITOR)
    except NotFound as error:
        console.print(f"  a search in it: {escape(str(error))}")
    return all(one.remaining == 0 for one in statement.removed)
